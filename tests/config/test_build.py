"""What the tables mean together: names, passwords, placement; and what cannot be meant."""

from pathlib import Path
from typing import get_args

import pytest

from kidoproxy.config.schema import TOGETHER_SETS, Hash
from kidoproxy.config.wording import quote_words
from kidoproxy.routes.placement.hashes import NUTCRACKER_HASHES
from kidoproxy.routes.placement.tags import NAMED_SETS
from tests.config.files import RING, nodes, pool, problems, read

MISTAKES = [
    ("# nothing", "ring.toml: pool: there is no pool; the file needs at least one [pool.NAME] table"),
    (nodes(), "pool.cache.nodes: is empty: a pool needs at least one node"),
    (pool('hash = "ketama"', "copy"), "pool.cache: 'hash' has no meaning in a copy pool"),
    (pool("min_in_sync = 1"), "pool.cache: 'min_in_sync' has no meaning in a ring pool"),
    (pool("min_in_sync = 3", "copy"), "pool.cache.min_in_sync: must be at most 2, the number of nodes"),
    (
        pool('scrub = "soon"', "copy"),
        'pool.cache.scrub: must be "off", or a number and s, m, h or d, such as "24h"',
    ),
    (nodes('{ url = "redis://h", weight = 1 }', mode="copy"), "pool.cache.nodes[0]: 'weight' has no meaning in a copy"),
    (pool('tags = "{"'), "pool.cache.tags: must be two characters"),
    (pool('tags = "«»"'), "pool.cache.tags: must be two characters"),
    (
        pool('together = ["@rqq"]'),
        f'pool.cache.together[0]: there is no set "@rqq"; known are {quote_words(TOGETHER_SETS)}; did you mean "@rq"?',
    ),
    (
        pool('together = ["a:", ["b:", "@bulmq"]]'),
        f'pool.cache.together[1]: there is no set "@bulmq"; known are {quote_words(TOGETHER_SETS)}; '
        'did you mean "@bullmq"?',
    ),
    (pool('together = ["a:", []]'), "pool.cache.together[1]: is an empty group"),
    (pool('together = [["a:", ""]]'), "pool.cache.together[0]: is empty: every key begins with it"),
    (
        pool('hash = "django_redis_shard"', nodes='[{ url = "redis://h", weight = 2 }]'),
        "pool.cache.nodes[0]: 'weight' has no meaning with hash = \"django_redis_shard\"",
    ),
    (pool('together = [""]'), "pool.cache.together[0]: is empty: every key begins with it"),
    (pool('deny = ["KEYS"]\nallow = ["keys"]'), "pool.cache: 'keys' is both denied and allowed"),
    (pool('rename = { a = "x", b = "X" }'), 'pool.cache.rename: two commands have the new name "x"'),
    (
        pool("tls = { verify = false }"),
        "pool.cache.tls.verify: has no meaning: no node of this pool is rediss:// or sentinels://",
    ),
    (
        pool('tls = { ca_file = "no" }', nodes='["rediss://h"]'),
        "pool.cache.tls.ca_file: cannot read ",
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
    (
        nodes('{ url = "pool:b", password = "x" }') + '[pool.b]\nmode = "ring"\nnodes = ["redis://h"]',
        "pool.cache.nodes[0]: 'password' has no meaning for a pool",
    ),
    (
        nodes('"pool:b"') + '[pool.b]\nmode = "ring"\ndeny = ["keys"]\nnodes = ["redis://h"]',
        "pool.b: 'deny' has no meaning in a pool without 'listen'",
    ),
    ('[proxy]\nadmin = "9380"\n' + RING, "proxy.admin: needs a host and a port"),
    (RING.replace("127.0.0.1:6380", "*:6380"), 'pool.cache.listen: has "*" for a host; write "0.0.0.0"'),
    (RING.replace("pool.cache", 'pool."a b"'), "pool.a b: a pool's name has only letters, digits, - and _"),
]


def test_the_sets_are_those_of_the_ring() -> None:
    """A set that the file may name is one that the ring knows, and the other way round."""
    assert set(TOGETHER_SETS) == set(NAMED_SETS)


def test_every_hash_of_nutcracker_can_be_named() -> None:
    """By its own name, but for md5, which is the default."""
    assert set(get_args(Hash)) - {"ketama", "hash_ring", "django_redis_shard"} == NUTCRACKER_HASHES.keys() - {"md5"}


def test_groups(tmp_path: Path) -> None:
    """A list in ``together`` is a group; one of a single word is the word, and what is said twice counts once."""
    ring = read(tmp_path, pool('together = ["a:", ["b:", "@rq"], ["a:"], ["b:", "@rq"]]')).pools["cache"].ring

    assert ring is not None
    assert ring.together == (b"a:", (b"b:", b"@rq"))


@pytest.mark.parametrize(
    ("settings", "mode", "expected"),
    [
        ("", "ring", "fast"),
        ('together = ["lock:", "@limits"]', "ring", "fast"),
        ('together = ["lock:", "@rq"]', "ring", "retry"),
        ('together = [["jobs", "@celery"]]', "ring", "retry"),
        ('together = ["@rq"]\nnode_errors = "fast"', "ring", "fast"),
        ('node_errors = "retry"', "ring", "retry"),
        ("", "copy", "fast"),
        ('node_errors = "retry"', "copy", "retry"),
    ],
)
def test_node_errors(tmp_path: Path, settings: str, mode: str, expected: str) -> None:
    """As configured; else queues, which are known by their set, get what makes their workers come again."""
    assert read(tmp_path, pool(settings, mode)).pools["cache"].node_errors == expected


def test_listeners(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/kidoproxy"),
        ({"HOME": "/h"}, "/h/.local/state/kidoproxy"),
        ({}, str(Path.home() / ".local/state/kidoproxy")),
    ],
)
def test_default(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    """systemd's directory first, then the user's, by the XDG rule."""
    assert read(tmp_path, RING, environ).state_dir == Path(expected)


def test_none(tmp_path: Path) -> None:
    """An empty name keeps nothing."""
    assert read(tmp_path, '[proxy]\nstate_dir = ""\n' + RING).state_dir is None


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    """What has the right shape and still cannot be meant gets its line."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    found = problems(tmp_path, text)

    assert [line for line in found if expected in line], found
    assert all(line.startswith("ring.toml: ") and "\n" not in line for line in found)


@pytest.mark.parametrize(
    "url",
    ["redis://:s3cret/@h", "redis://:s3cret@h/3", "redis:s3cret", "http://u:s3cret@h", "redis://:s3cret@h:x"],
)
def test_never_in_a_complaint(tmp_path: Path, url: str) -> None:
    """A complaint about a URL does not repeat it."""
    assert "s3cret" not in "".join(problems(tmp_path, nodes(f'"{url}"')))


@pytest.mark.parametrize(("text", "seconds"), [("off", 0), ("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800)])
def test_how_often_copies_are_compared(tmp_path: Path, text: str, seconds: float) -> None:
    """A number and a unit."""
    copy = read(tmp_path, pool(f'scrub = "{text}"', "copy")).pools["cache"].copy
    assert copy is not None
    assert copy.scrub_s == seconds
