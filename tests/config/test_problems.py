"""Every mistake gets one line: the file, the place, what is wrong, and what was probably meant."""

from pathlib import Path

import pytest

from kidoproxy.config import ConfigError, load
from kidoproxy.config.problems import did_you_mean, dotted
from tests.config.files import RING, nodes, pool, problems

TOML_MISTAKES = [
    ("x = ]", "ring.toml: line 1, column 5: is not TOML: invalid value"),
    ("a = 1\na = 2\n", "ring.toml: line 2, column 6: is not TOML: cannot overwrite a value"),
    ('a = "x', "ring.toml: at its end: is not TOML: unterminated string"),
]

SHAPE_MISTAKES = [
    ("[proxy]\nworkerz = 1\n" + RING, 'proxy.workerz: unknown key; did you mean "workers"?'),
    ("[poool.a]\n" + RING, 'poool: unknown key; did you mean "pool"?'),
    (pool("zzz = 1"), "pool.cache.zzz: unknown key"),
    (pool("limits = { bulk = 1 }"), 'pool.cache.limits.bulk: unknown key; did you mean "bulk_mb"?'),
    (
        nodes('"redis://h"', '{ url = "redis://i", wieght = 2 }'),
        'pool.cache.nodes[1].wieght: unknown key; did you mean "weight"?',
    ),
    (nodes('{ name = "a" }'), "pool.cache.nodes[0].url: is missing"),
    (
        '[pool.cache]\nlisten = "a:1"\nnodes = ["redis://h"]',
        "pool.cache.mode: is missing",
    ),
    ("pool = 3", "pool: must be a table, not a whole number"),
    ("proxy = 2024-01-01", "proxy: must be a table, not a date or time"),
    ("[pool]\ncache = true", "pool.cache: must be a table, not true or false"),
    (pool('timeout_ms = "5"'), "pool.cache.timeout_ms: must be a whole number, not a string"),
    (pool("timeout_ms = 1.5"), "pool.cache.timeout_ms: must be a whole number, not a number"),
    (pool("timeout_ms = true"), "pool.cache.timeout_ms: must be a whole number, not true or false"),
    (pool("tls = { verify = 1 }"), "pool.cache.tls.verify: must be true or false, not a whole number"),
    (pool("deny = 'keys'"), "pool.cache.deny: must be a list, not a string"),
    (pool("rename = { keys = 1 }"), "pool.cache.rename.keys: must be a string, not a whole number"),
    (
        RING.replace('"127.0.0.1:6380"', "6380"),
        "pool.cache.listen: must be a string or a list of strings, not a whole number",
    ),
    (RING.replace('"127.0.0.1:6380"', "[6380]"), "pool.cache.listen[0]: must be a string, not a whole number"),
    (nodes("7"), "pool.cache.nodes[0]: must be a string or a table, not a whole number"),
    (pool("timeout_ms = 0"), "pool.cache.timeout_ms: must be at least 1"),
    (pool("timeout_ms = 700000"), "pool.cache.timeout_ms: must be at most 600000"),
    ("[proxy]\ndrain_seconds = nan\n" + RING, "proxy.drain_seconds: must be at most 3600"),
    ("[proxy]\ndrain_seconds = 'x'\n" + RING, "proxy.drain_seconds: must be a number, not a string"),
    (nodes('{ url = "redis://h", weight = 0 }'), "pool.cache.nodes[0].weight: must be at least 1"),
    (nodes('{ url = "redis://h", weight = -3 }'), "pool.cache.nodes[0].weight: must be at least 1"),
    (nodes('{ url = "redis://h", weight = 0.5 }'), "pool.cache.nodes[0].weight: must be a whole number, not a number"),
    (nodes('{ url = "redis://h", name = "" }'), "pool.cache.nodes[0].name: is empty"),
    (nodes(f'{{ url = "redis://h", name = "{"x" * 256}" }}'), "pool.cache.nodes[0].name: has more than 255 characters"),
    (pool("", mode="rnig"), 'pool.cache.mode: "rnig" is not known; known are "ring", "copy"; did you mean "ring"?'),
    (pool("hash = 3"), "must be one of"),
    (nodes('{ url = "redis://h", x = { y = 1 } }', "3"), "pool.cache.nodes[0].x: unknown key"),
    (pool('on_down = "next"'), 'pool.cache.on_down: "next" is not served yet; served are "error", "miss"'),
    (pool('ack = "quorum"', "copy"), 'pool.cache.ack: "quorum" is not served yet; served is "all"'),
    (pool('ack = "leader"', "copy"), 'pool.cache.ack: "leader" is not served yet; served is "all"'),
    (
        pool('read = "nearest"', "copy"),
        'pool.cache.read: "nearest" is not served yet; served are "leader", "first", "random"',
    ),
    (pool('password = "${NOPE}"'), 'pool.cache.password: the environment has no "NOPE"'),
    (pool('password = "${HOMER}"'), 'the environment has no "HOMER"; did you mean "HOME"?'),
    (pool('password = "${a b}"'), '"${a b}" does not name an environment variable'),
]

SENSE_MISTAKES = [
    ("", "ring.toml: pool: there is no pool; the file needs at least one [pool.NAME] table"),
    (nodes(), "pool.cache.nodes: is empty: a pool needs at least one node"),
    (pool('hash = "ketama"', "copy"), "pool.cache: 'hash' has no meaning in a copy pool"),
    (pool("min_in_sync = 1"), "pool.cache: 'min_in_sync' has no meaning in a ring pool"),
    (pool("min_in_sync = 3", "copy"), "pool.cache.min_in_sync: must be at most 2, the number of nodes"),
    (nodes('{ url = "redis://h", weight = 1 }', mode="copy"), "pool.cache.nodes[0]: 'weight' has no meaning in a copy"),
    (pool('tags = "{"'), "pool.cache.tags: must be two characters"),
    (pool('tags = "«»"'), "pool.cache.tags: must be two characters"),
    (
        pool('together = ["@rqq"]'),
        'pool.cache.together[0]: there is no set "@rqq"; known are "@celery", "@rq", "@dramatiq", "@huey", '
        '"@channels_redis"; did you mean "@rq"?',
    ),
    (
        pool('hash = "django_redis_shard"', nodes='[{ url = "redis://h", weight = 2 }]'),
        "pool.cache.nodes[0]: 'weight' has no meaning with hash = \"django_redis_shard\"",
    ),
    (pool('together = [""]'), "pool.cache.together[0]: is empty: every key begins with it"),
    (pool('deny = ["KEYS"]\nallow = ["keys"]'), "pool.cache: 'keys' is both denied and allowed"),
    (pool('rename = { a = "x", b = "X" }'), 'pool.cache.rename: two commands have the new name "x"'),
    (pool("tls = { verify = false }"), "pool.cache.tls: has no meaning: no node of this pool is rediss://"),
    (
        pool('tls = { ca_file = "no" }', nodes='["rediss://h"]'),
        "pool.cache.tls.ca_file: cannot read no: No such file or directory",
    ),
    (pool('password_file = "no"'), "pool.cache.password_file: cannot read no: No such file or directory"),
    (pool('password_file = "empty"'), "pool.cache.password_file: empty is empty"),
    (pool('password_file = "binary"'), "pool.cache.password_file: cannot read binary: it is not UTF-8 text"),
    (pool('password_file = "."'), "pool.cache.password_file: cannot read .: Is a directory"),
    (pool('password = "a"\npassword_file = "empty"'), "pool.cache: has both 'password' and 'password_file'"),
    (
        nodes('{ url = "redis://:a@h", password = "b" }'),
        "pool.cache.nodes[0]: has a password in its URL and another one beside it",
    ),
    (
        nodes('{ url = "redis://u:a@h", username = "v" }'),
        "pool.cache.nodes[0]: has a user in its URL and another one beside it",
    ),
    (nodes('"redis://u@h"'), "pool.cache.nodes[0]: has a user but no password"),
    (nodes('"redis://a"', '"redis://a:6379"'), "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379"),
    (
        nodes('{ url = "redis://a", name = "x" }', '{ url = "redis://a", name = "y" }'),
        "pool.cache.nodes[1]: is the same node as nodes[0]: a:6379",
    ),
    (
        nodes('{ url = "redis://a", name = "x" }', '{ url = "redis://b", name = "x" }'),
        'pool.cache.nodes[1]: has the same name as nodes[0]: "x"',
    ),
    (
        nodes('"pool:b"', '"pool:b"') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        'pool.cache.nodes[1]: has the same name as nodes[0]: "b"',
    ),
    (nodes('"pool:cahce"'), 'pool.cache.nodes[0]: there is no pool "cahce"; did you mean "cache"?'),
    (nodes('"pool:cache"'), "pool.cache.nodes: is a cycle: cache -> cache"),
    (
        nodes('"pool:b"') + '[pool.b]\nmode = "ring"\nnodes = ["pool:c"]\n[pool.c]\nmode = "ring"\nnodes = ["pool:b"]',
        "pool.b.nodes: is a cycle: b -> c -> b",
    ),
    (
        nodes('"pool:b"', mode="copy") + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[0]: a copy pool of pools is not served yet",
    ),
    (
        nodes('{ url = "pool:b", password = "x" }') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[0]: 'password' has no meaning for a pool",
    ),
    (
        nodes('"pool:b"', '"redis://h"') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[1]: is the same node as nodes[0]: h:6379",
    ),
    (
        nodes('"pool:b"', '"pool:c"')
        + '[pool.b]\nmode = "copy"\nnodes = [{ name = "x", url = "redis://h" }]\n'
        + '[pool.c]\nmode = "copy"\nnodes = [{ name = "x", url = "redis://i" }]',
        'pool.cache.nodes[1]: has a node named as one below nodes[0]: "x"',
    ),
    (RING + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]', "pool.b: has no 'listen', and no pool uses it"),
    (
        '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        'pool: none of the pools listens: "b"',
    ),
    (
        nodes('"pool:b"') + '[pool.b]\nmode = "ring"\ndeny = ["keys"]\nnodes = ["redis://h"]',
        "pool.b: 'deny' has no meaning in a pool without 'listen'",
    ),
    (
        RING + RING.replace("cache", "b").replace("10.0.0", "10.0.1"),
        "pool.b.listen: 127.0.0.1:6380 is already taken by pool.cache.listen",
    ),
    (
        '[proxy]\nadmin = "127.0.0.1:6380"\n' + RING,
        "pool.cache.listen: 127.0.0.1:6380 is already taken by proxy.admin",
    ),
    (
        nodes('"redis://127.0.0.1:6380"'),
        "pool.cache.nodes[0]: 127.0.0.1:6380 is the proxy itself: pool.cache.listen",
    ),
    ('[proxy]\nadmin = "9380"\n' + RING, "proxy.admin: needs a host and a port"),
    (RING.replace("127.0.0.1:6380", "*:6380"), 'pool.cache.listen: has "*" for a host; write "0.0.0.0"'),
    (RING.replace("pool.cache", 'pool."a b"'), "pool.a b: a pool's name has only letters, digits, - and _"),
    (nodes('"localhost"', '"pool:nope"'), 'pool.cache.nodes[1]: there is no pool "nope"'),
]


class TestMistakes:
    """Every mistake gets one line: the file, the place, what is wrong, and what was probably meant."""

    @pytest.mark.parametrize(("text", "expected"), TOML_MISTAKES)
    def test_not_toml(self, tmp_path: Path, text: str, expected: str) -> None:
        """A file that is not TOML is told where it stops being TOML."""
        (line,) = problems(tmp_path, text)

        assert line.startswith(expected)

    @pytest.mark.parametrize(("text", "expected"), SHAPE_MISTAKES)
    def test_shape(self, tmp_path: Path, text: str, expected: str) -> None:
        """Keys, types, bounds, choices and variables."""
        found = problems(tmp_path, text)

        assert [line for line in found if expected in line], found
        assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)

    @pytest.mark.parametrize(("text", "expected"), SENSE_MISTAKES)
    def test_sense(self, tmp_path: Path, text: str, expected: str) -> None:
        """What has the right shape and still cannot be meant."""
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "binary").write_bytes(b"\xff")
        found = problems(tmp_path, text)

        assert [line for line in found if expected in line], found
        assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)

    def test_all_at_once(self, tmp_path: Path) -> None:
        """One reading finds all mistakes of a kind, each once."""
        found = problems(tmp_path, pool("hahs = 1\ntimeout_ms = 0", mode="x", nodes='["redis://h", 3]'))

        assert len(found) == len(set(found)) == 4

    def test_no_file(self, tmp_path: Path) -> None:
        """A file that is not there is named in full."""
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "no.toml")

        assert caught.value.problems == [f"{tmp_path}/no.toml: there is no such file"]

    def test_not_a_file(self, tmp_path: Path) -> None:
        """A file that cannot be read says why."""
        with pytest.raises(ConfigError) as caught:
            load(tmp_path)

        assert caught.value.problems == [f"{tmp_path}: cannot be read: Is a directory"]

    def test_not_text(self, tmp_path: Path) -> None:
        """TOML is UTF-8; the first byte that is not is named."""
        (tmp_path / "ring.toml").write_bytes(b"# \xff")
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "ring.toml")

        assert caught.value.problems == ["ring.toml: is not TOML: byte 2 is not UTF-8"]

    def test_places(self) -> None:
        """A place is written as one would say it."""
        assert dotted(("pool", "a", "nodes", 1, "url")) == "pool.a.nodes[1].url"
        assert did_you_mean("zzz", ["ring"]) == ""
