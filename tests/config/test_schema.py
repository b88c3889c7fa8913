"""The defaults, and every setting that changes them."""

from pathlib import Path

from kidoproxy.config import Address, Tls
from tests.config.files import COPY, RING, pool, read

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"


def test_defaults(tmp_path: Path) -> None:
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


def test_copy_defaults(tmp_path: Path) -> None:
    """A copy pool waits for all nodes in sync and reads from the key's leader."""
    copy = read(tmp_path, COPY).pools["cache"].copy

    assert copy is not None
    assert (copy.ack, copy.min_in_sync, copy.read) == ("all", 1, "leader")


def test_proxy_table(tmp_path: Path) -> None:
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


def test_every_pool_setting(tmp_path: Path) -> None:
    """Each key of a ring pool arrives where it belongs, in seconds, bytes and lower case."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PEM.read_bytes())
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
            limits.max_clients = 7
            limits.client_output_mb = 1
            limits.pubsub_output_mb = 5
            limits.bulk_mb = 2
            limits.query_buffer_mb = 3
            limits.idle_timeout_s = 4
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
    assert limits.pubsub_output_bytes == 5 * 2**20
    assert cache.nodes[0].tls == Tls(str(ca), False, ca_pem=PEM.read_bytes())
