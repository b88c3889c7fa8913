"""Every mistake gets one line: the file, the place, what is wrong, and what was probably meant."""

from pathlib import Path

import pytest

from kidoproxy.config.problems import format_location
from tests.config.files import RING, nodes, pool, problems

MISTAKES = [
    ("[proxy]\nworkerz = 1\n" + RING, 'proxy.workerz: unknown key; did you mean "workers"?'),
    (pool('"h\\u001b[2J\\n" = 1'), "pool.cache.h\\x1b[2J\\n: unknown key"),
    (pool('on_down = "\\u009bx"'), 'pool.cache.on_down: "\\x9bx" is not known; known are "error", "miss"'),
    (
        nodes('{ url = "redis://a", name = "a\\u001b[31m" }'),
        "pool.cache.nodes[0].name: has a character that cannot be shown",
    ),
    (nodes('"redis://a\\u0007"'), "pool.cache.nodes[0]: has a character in its host that cannot be shown"),
    (nodes('"unix:///r\\u202e"'), "pool.cache.nodes[0]: has a character in its path that cannot be shown"),
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
    (pool("together = 'a:'"), "pool.cache.together: must be a list, not a string"),
    (pool("together = [3]"), "pool.cache.together[0]: must be a string or a list of strings, not a whole number"),
    (pool("together = [[3]]"), "pool.cache.together[0][0]: must be a string, not a whole number"),
    (pool('node_errors = "slow"'), 'pool.cache.node_errors: "slow" is not known; known are "fast", "retry"'),
    (pool("rename = { keys = 1 }"), "pool.cache.rename.keys: must be a string, not a whole number"),
    (
        RING.replace('"127.0.0.1:6380"', "6380"),
        "pool.cache.listen: must be a string or a list of strings, not a whole number",
    ),
    (RING.replace('"127.0.0.1:6380"', "[6380]"), "pool.cache.listen[0]: must be a string, not a whole number"),
    (nodes("7"), "pool.cache.nodes[0]: must be a string or a table, not a whole number"),
    (pool("timeout_ms = 0"), "pool.cache.timeout_ms: must be at least 1"),
    (pool("timeout_ms = 700000"), "pool.cache.timeout_ms: must be at most 600000"),
    ("[proxy]\nslow_ms = -1\n" + RING, "proxy.slow_ms: must be at least 0"),
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
    (pool('ack = "some"', "copy"), 'pool.cache.ack: "some" is not known; known are "all", "quorum", "leader"'),
    (pool('hedge_ms = "fast"', "copy"), 'pool.cache.hedge_ms: must be "off", "p95" or a number from 1 to 10000'),
    (pool("hedge_ms = 0", "copy"), 'pool.cache.hedge_ms: must be "off", "p95" or a number from 1 to 10000'),
    (pool("hedge_ms = 10001", "copy"), 'pool.cache.hedge_ms: must be "off", "p95" or a number from 1 to 10000'),
    (pool("hedge_ms = true", "copy"), "pool.cache.hedge_ms: must be a string, not true or false"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """Keys, types, bounds and choices."""
    found = problems(tmp_path, text)

    assert [line for line in found if expected in line], found
    assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)


def test_never_in_a_complaint_about_shape(tmp_path: Path) -> None:
    """A wrong type is named, its value is not."""
    assert "314159" not in "".join(problems(tmp_path, pool("password = 314159")))


def test_all_at_once(tmp_path: Path) -> None:
    """One reading finds all mistakes of a kind, each once."""
    found = problems(tmp_path, pool("hahs = 1\ntimeout_ms = 0", mode="x", nodes='["redis://h", 3]'))

    assert len(found) == len(set(found)) == 4


def test_places() -> None:
    """A place is written as one would say it."""
    assert format_location(("pool", "a", "nodes", 1, "url")) == "pool.a.nodes[1].url"
