"""Where a key goes, from the configuration alone."""

from pathlib import Path

import pytest

from kidoproxy.admin.explain import cursor_id_collisions, explain_key, printable, ring_shares, unknown_commands
from tests.config.files import COPY, RING, pool, read


def test_a_ring(tmp_path: Path) -> None:
    """One line names the hash, the arc and the node."""
    config = read(tmp_path, RING)
    (line,) = explain_key(config, config.pools["cache"], b"user:1")

    assert line.startswith("cache: 'user:1' hashes to ")
    assert line.endswith((": 10.0.0.1:6379", ": 10.0.0.2:6379"))


def test_a_tag(tmp_path: Path) -> None:
    """What of a key counts is said first; two keys with one tag go the same way."""
    config = read(tmp_path, RING)
    first, second = explain_key(config, config.pools["cache"], b"{user:1}:cart")

    assert first == "cache: 'user:1' of '{user:1}:cart' is what counts"
    assert [second] == explain_key(config, config.pools["cache"], b"user:1")


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (b"walrus|1", "cache: 'walrus|' of 'walrus|1' is what counts"),
        (b"temp.1", "cache: 'temp.1' is kept together with 'walrus|', which is what counts"),
        (b"unacked", "cache: 'unacked' is kept together with '@celery', which is what counts"),
        (b"mail", "cache: 'mail' is kept together with '@celery', which is what counts"),
    ],
)
def test_a_family(tmp_path: Path, key: bytes, sentence: str) -> None:
    """So is the prefix, or what the key's whole family is hashed by."""
    config = read(tmp_path, pool('together = [["walrus|", "temp."], ["@celery", "mail"]]'))

    assert explain_key(config, config.pools["cache"], key)[0] == sentence


def test_a_named_node(tmp_path: Path) -> None:
    """A node with a name of its own is shown with its address."""
    config = read(tmp_path, pool("", nodes='[{ name = "a", url = "redis://h" }]'))

    assert explain_key(config, config.pools["cache"], b"k")[0].endswith(": a (h:6379)")


def test_copies(tmp_path: Path) -> None:
    """In a copy pool all nodes are named, the one that decides first; which one that is depends on the key."""
    config = read(tmp_path, COPY)
    lines = {explain_key(config, config.pools["cache"], b"%d" % i)[0] for i in range(64)}

    assert lines == {
        "cache: written to all, led by 10.0.0.1:6379, then 10.0.0.2:6379",
        "cache: written to all, led by 10.0.0.2:6379, then 10.0.0.1:6379",
    }


def test_a_ring_of_copies(tmp_path: Path) -> None:
    """Each step down the tree has its line."""
    below = '[pool.a]\nmode = "copy"\nnodes = ["redis://h"]\n'
    config = read(tmp_path, pool("", nodes='["pool:a"]') + below)
    ring, copies = explain_key(config, config.pools["cache"], b"k")

    assert ring.endswith(": pool a")
    assert copies == "a: written to all, led by h:6379"


def test_shares(tmp_path: Path) -> None:
    """The shares of a ring are fractions of the whole; copies have none."""
    owned = ring_shares(read(tmp_path, RING).pools["cache"])

    assert owned is not None
    assert sum(owned) == pytest.approx(1)
    assert ring_shares(read(tmp_path, COPY).pools["cache"]) is None


def test_shown() -> None:
    """Bytes that are no text are shown as escapes."""
    assert printable(b"a\xff") == "a\\xff"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('deny = ["flushal"]', ['deny: there is no command "flushal"; did you mean "flushall"?']),
        ('allow = ["config|sett"]', ['allow: there is no command "config|sett"; did you mean "config|set"?']),
        ('rename = { kyes = "" }', ['rename: there is no command "kyes"; did you mean "keys"?']),
        ('rename = { flushall = "get" }', ['rename: "get" is a command already']),
        ('rename = { flushall = "drop all" }', ['rename: "drop|all" is not one word']),
        (
            'rename = { "config set" = "" }',
            ['rename: "config|set" cannot have a new name, only whole commands can; "deny" turns it off'],
        ),
        ('deny = ["json.set", "keys", "config"]\nrename = { flushall = "gone", flushdb = "" }', []),
    ],
)
def test_commands_that_there_are_not(tmp_path: Path, lines: str, expected: list[str]) -> None:
    """A misspelt command would be denied in vain, so it is a mistake; a module's command is taken on trust."""
    found = unknown_commands(read(tmp_path, pool(lines)))

    assert found == [f"ring.toml: pool.cache.{line}" for line in expected]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("+@all -@dangerous +config|get +json.set allcommands", []),
        ("+gett", ['there is no command "gett"; did you mean "+get"?']),
        ("+@all -@dangeros", ['there is no category "@dangeros"; did you mean "-@dangerous"?']),
        ("+select|0", ['"select|0" names a first argument, only subcommands can be named; write "+select"']),
        (
            "get +config|gett",
            [
                '"get" is no rule: it must begin with + or -',
                'there is no command "config|gett"; did you mean "+config|get"?',
            ],
        ),
    ],
)
def test_rules_that_mean_nothing(tmp_path: Path, rules: str, expected: list[str]) -> None:
    """A misspelt rule would allow or deny something else than was meant."""
    found = unknown_commands(read(tmp_path, pool(f'[pool.cache.users.alice]\nnopass = true\ncommands = "{rules}"')))

    assert found == [f"ring.toml: pool.cache.users.alice.commands: {line}" for line in expected]


def test_numbers_that_collide_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the nodes that one listener reaches; what others reach does not matter. No two collide by themselves."""
    below = '[pool.below]\nmode = "copy"\nnodes = ["redis://10.0.0.8", "redis://10.0.0.9"]\n'
    config = read(tmp_path, pool("", nodes='["pool:below", "redis://10.0.0.1"]') + below)
    assert cursor_id_collisions(config) == []
    monkeypatch.setattr(
        "kidoproxy.admin.explain.cursor_id_of", lambda pool, node: len(pool) + (node == "10.0.0.1:6379")
    )
    assert cursor_id_collisions(config) == [
        f"ring.toml: pool.below: node 10.0.0.9:6379: has the number of pool.below: node 10.0.0.8:6379; {CURE}"
    ]
    monkeypatch.setattr("kidoproxy.admin.explain.cursor_id_of", lambda pool, node: 1)
    assert len(cursor_id_collisions(config)) == 2


CURE = "give the pool another name"
