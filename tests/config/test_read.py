"""What a configuration file means: the defaults, every setting, and secrets that stay secret."""

import pickle
from pathlib import Path

import pytest

from kidoproxy.config import Address, ConfigError, Node, PoolRef, Secret, Tls, embedded_config
from kidoproxy.config.build import TOGETHER_SETS
from kidoproxy.routes.tags import SETS
from tests.config.files import COPY, RING, nodes, pool, problems, read


class TestWhatAFileMeans:
    """The defaults, and every setting that changes them."""

    def test_defaults(self, tmp_path: Path) -> None:
        """Four lines are a whole configuration; everything else has a default."""
        config = read(tmp_path, RING)

        assert (config.source, config.workers, config.admin, config.log) == ("ring.toml", 1, None, "text")
        assert (config.drain_seconds, config.max_clients) == (10.0, 10_000)
        cache = config.pools["cache"]
        assert cache.listen == (Address("127.0.0.1", 6380),)
        assert [node.name for node in cache.nodes] == ["10.0.0.1:6379", "10.0.0.2:6379"]
        assert (cache.timeout, cache.connect_timeout, cache.databases) == (0.5, 1.0, 16)
        assert cache.ring is not None
        assert cache.copy is None
        assert (cache.ring.hash, cache.ring.tags, cache.ring.together) == ("ketama", b"{}", ())
        assert (cache.ring.on_down, cache.ring.transactions) == ("error", "split")
        assert not cache.password
        assert cache.limits.max_clients == 10_000
        assert cache.limits.bulk_bytes == 512 * 1024 * 1024

    def test_copy_defaults(self, tmp_path: Path) -> None:
        """A copy pool waits for all nodes in sync and reads from the key's leader."""
        copy = read(tmp_path, COPY).pools["cache"].copy

        assert copy is not None
        assert (copy.ack, copy.min_in_sync, copy.read) == ("all", 1, "leader")

    def test_proxy_table(self, tmp_path: Path) -> None:
        """The process has a table of its own."""
        config = read(
            tmp_path,
            '[proxy]\nworkers = 2\nstate_dir = "/s"\nadmin = "[::1]:9380"\nlog = "json"\n'
            "drain_seconds = 2\nmax_clients = 5\n" + RING,
        )

        assert (config.workers, config.state_dir, config.log) == (2, Path("/s"), "json")
        assert config.admin == Address("::1", 9380)
        assert (config.drain_seconds, config.max_clients) == (2.0, 5)
        assert config.pools["cache"].limits.max_clients == 5

    def test_every_pool_setting(self, tmp_path: Path) -> None:
        """Each key of a ring pool arrives where it belongs, in seconds, bytes and lower case."""
        ca = tmp_path / "ca.pem"
        ca.write_text("x")
        cache = read(
            tmp_path,
            pool(
                """
                password = "hush"
                timeout_ms = 250
                connect_timeout_ms = 2000
                databases = 4
                hash = "fnv1a_64"
                tags = "<>"
                together = ["@celery", "job:", "celery", "job:"]
                on_down = "miss"
                transactions = "strict"
                deny = ["KEYS", "config set"]
                allow = ["DEBUG|SLEEP"]
                rename = { FLUSHALL = "Gone", flushdb = "" }
                limits = { max_clients = 7, client_output_mb = 1, bulk_mb = 2, query_buffer_mb = 3, idle_timeout_s = 4 }
                tls = { ca_file = "ca.pem", verify = false }
                """,
                nodes='["rediss://10.0.0.1"]',
            ),
        ).pools["cache"]

        assert cache.password.reveal() == "hush"
        assert (cache.timeout, cache.connect_timeout, cache.databases) == (0.25, 2.0, 4)
        assert cache.ring is not None
        assert (cache.ring.hash, cache.ring.tags, cache.ring.on_down) == ("fnv1a_64", b"<>", "miss")
        assert cache.ring.together == (b"@celery", b"job:", b"celery")
        assert cache.ring.transactions == "strict"
        assert cache.deny == {b"keys", b"config|set"}
        assert cache.allow == {b"debug|sleep"}
        assert cache.rename == {b"flushall": b"gone", b"flushdb": b""}
        limits = cache.limits
        assert (limits.max_clients, limits.client_output_bytes, limits.bulk_bytes) == (7, 2**20, 2 * 2**20)
        assert (limits.query_buffer_bytes, limits.idle_seconds) == (3 * 2**20, 4)
        assert cache.nodes[0].tls == Tls(str(ca), False)

    def test_nodes_in_every_form(self, tmp_path: Path) -> None:
        """A node is a URL, a socket, a table or a pool; a user and a password may stand in the URL."""
        members = (
            read(
                tmp_path,
                nodes(
                    '"redis://h/0"',
                    '"redis://u%40:p%2Fw@[::1]:7000/"',
                    '"unix:///run/r.sock"',
                    '{ name = "d", url = "rediss://:pw@h:1", weight = 3 }',
                    '{ url = "redis://e", username = "u", password = "pw" }',
                    '{ url = "pool:below", name = "f" }',
                )
                + COPY.replace("cache", "below").replace('listen = "127.0.0.1:6380"', ""),
            )
            .pools["cache"]
            .members
        )

        assert [member.name for member in members] == ["h:6379", "[::1]:7000", "/run/r.sock:", "d", "e:6379", "f"]
        a, b, c, d, e, f = members
        assert isinstance(b, Node)
        assert (b.username, b.password.reveal(), b.tls) == ("u@", "p/w", None)
        assert isinstance(c, Node)
        assert c.address == Address(path="/run/r.sock")
        assert isinstance(d, Node)
        assert (d.weight, d.tls, d.password.reveal()) == (3, Tls(), "pw")
        assert isinstance(e, Node)
        assert (e.username, e.password.reveal()) == ("u", "pw")
        assert f == PoolRef("f", "below", ring_name="f")
        assert isinstance(a, Node)

    @pytest.mark.parametrize(
        ("hash_name", "names"),
        [
            ("ketama", ["h", "h:6379", "n", "/s:"]),
            ("hash_ring", ["0", "1", "2", "3"]),
            ("django_redis_shard", ["redis://h:11211", "redis://h/0", "n", "unix:///s"]),
        ],
    )
    def test_what_the_ring_hashes(self, tmp_path: Path, hash_name: str, names: list[str]) -> None:
        """Names as nutcracker gives them, positions as the ancestor's, or URLs as django-redis lists them."""
        listed = '["redis://h:11211", "redis://h/0", { url = "redis://i", name = "n" }, "unix:///s"]'
        members = read(tmp_path, pool(f'hash = "{hash_name}"', nodes=listed)).pools["cache"].members

        assert [member.ring_name for member in members] == names

    def test_the_sets_are_those_of_the_ring(self) -> None:
        """A set that the file may name is one that the ring knows, and the other way round."""
        assert set(TOGETHER_SETS) == set(SETS)

    def test_listeners(self, tmp_path: Path) -> None:
        """A pool may listen on several addresses; port 0 may be asked for more than once."""
        listen = 'listen = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:6380", "unix:///run/k.sock"]'
        cache = read(tmp_path, RING.replace('listen = "127.0.0.1:6380"', listen)).pools["cache"]

        assert [str(address) for address in cache.listen] == [
            "127.0.0.1:0",
            "127.0.0.1:0",
            "[::1]:6380",
            "unix:///run/k.sock",
        ]
        assert [address.is_unix for address in cache.listen] == [False, False, False, True]

    def test_the_tree_of_pools(self, tmp_path: Path) -> None:
        """A ring of copy pools is known to need one place that orders its writes."""
        text = nodes('"pool:a"', '"pool:b"')
        for name, host in (("a", 1), ("b", 3)):
            text += f'\n[pool.{name}]\nmode = "copy"\nnodes = ["redis://n{host}", "redis://n{host + 1}"]\n'
        text += RING.replace("pool.cache", "pool.plain").replace("6380", "6381")
        config = read(tmp_path, text)

        assert [found.name for found in config.below("cache")] == ["cache", "a", "b"]
        assert [found.name for found in config.listening()] == ["cache", "plain"]
        assert [child.pool for child in config.pools["cache"].children] == ["a", "b"]
        assert config.has_copies("cache")
        assert not config.has_copies("plain")

    def test_it_travels_to_workers(self, tmp_path: Path) -> None:
        """A configuration can be pickled, secrets included."""
        config = read(tmp_path, pool('password = "hush"'))

        assert pickle.loads(pickle.dumps(config)) == config


class TestSecrets:
    """Where secrets come from, and where they never show."""

    def test_from_the_environment(self, tmp_path: Path) -> None:
        """${NAME} stands in any string; in front of a URL's @ the value may hold any character."""
        environ = {"PW": "a/b@c#%", "HOST": "10.9.9.9", "FULL": "redis://:x@h"}
        cache = read(
            tmp_path,
            pool(
                'password = "${PW}"\ntogether = ["$${PW}$"]',
                nodes='["redis://u:${PW}@${HOST}", { url = "redis://i", password = "${PW}" }, "${FULL}"]',
            ),
            environ,
        ).pools["cache"]

        assert cache.password.reveal() == "a/b@c#%"
        assert [node.password.reveal() for node in cache.nodes] == ["a/b@c#%", "a/b@c#%", "x"]
        assert cache.nodes[0].name == "10.9.9.9:6379"
        assert cache.ring is not None
        assert cache.ring.together == (b"${PW}$",)

    def test_from_a_file(self, tmp_path: Path) -> None:
        """A password file is named relative to the configuration; its line end does not count."""
        (tmp_path / "pw").write_text("hush hush\n")
        cache = read(
            tmp_path, pool('password_file = "pw"', nodes='[{ url = "redis://h", password_file = "pw" }]')
        ).pools["cache"]

        assert cache.password.reveal() == "hush hush"
        assert cache.nodes[0].password.reveal() == "hush hush"

    @pytest.mark.parametrize("hash_name", ["ketama", "django_redis_shard"])
    def test_never_shown(self, tmp_path: Path, hash_name: str) -> None:
        """The repr of a configuration holds no secret, wherever it was written."""
        config = read(
            tmp_path,
            pool(
                f'password = "s3cret"\nhash = "{hash_name}"',
                nodes='["redis://:s3cret@h", { url = "redis://i", password = "s3cret" }]',
            ),
        )

        assert "s3cret" not in repr(config)
        assert "s3cret" not in str(config)

    @pytest.mark.parametrize(
        "url",
        ["redis://:s3cret/@h", "redis://:s3cret@h/3", "redis:s3cret", "http://u:s3cret@h", "redis://:s3cret@h:x"],
    )
    def test_never_in_a_complaint(self, tmp_path: Path, url: str) -> None:
        """A complaint about a URL does not repeat it."""
        assert "s3cret" not in "".join(problems(tmp_path, nodes(f'"{url}"')))

    def test_never_in_a_complaint_about_shape(self, tmp_path: Path) -> None:
        """A wrong type is named, its value is not."""
        assert "314159" not in "".join(problems(tmp_path, pool("password = 314159")))

    def test_secret(self) -> None:
        """A secret is true when there is one, equal by value, and silent."""
        assert Secret("a") == Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1
        assert bool(Secret("a"))
        assert not Secret()
        assert (repr(Secret("a")), repr(Secret())) == ("Secret(***)", "Secret()")


class TestStateDir:
    """Where a proxy remembers which copies are behind."""

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/a"),
            ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/kidoproxy"),
            ({"HOME": "/h"}, "/h/.local/state/kidoproxy"),
            ({}, str(Path.home() / ".local/state/kidoproxy")),
        ],
    )
    def test_default(self, tmp_path: Path, environ: dict[str, str], expected: str) -> None:
        """systemd's directory first, then the user's, by the XDG rule."""
        assert read(tmp_path, RING, environ).state_dir == Path(expected)

    def test_none(self, tmp_path: Path) -> None:
        """An empty name keeps nothing."""
        assert read(tmp_path, '[proxy]\nstate_dir = ""\n' + RING).state_dir is None


class TestEmbedded:
    """The run without a file."""

    def test_embedded(self) -> None:
        """Names do not depend on the sockets, so the same keys go to the same node in every run."""
        config = embedded_config("copy", "127.0.0.1:6380", ["unix:///t/a", "unix:///t/b"])

        local = config.pools["local"]
        assert [(node.name, str(node.address)) for node in local.nodes] == [
            ("node-1", "unix:///t/a"),
            ("node-2", "unix:///t/b"),
        ]
        assert (local.mode, config.state_dir, config.source) == ("copy", None, "")

    def test_bad_listen(self) -> None:
        """A bad --listen is named as such."""
        with pytest.raises(ConfigError, match=r"^--listen: pool\.local\.listen: needs a host and a port"):
            embedded_config("ring", "6380", ["unix:///t/a"])
