"""What writes do to the expiry of their keys, against real servers where they say so themselves."""

from typing import Any

import pytest

from kidoproxy.commands.expiry_effect import (
    CHECK_BEHIND,
    KEPT,
    NAMED_KEYS,
    NO_CHECK,
    OF_SOURCES,
    SET,
    UNAFFECTED,
    expiry_effect,
    trait_in_script,
)
from kidoproxy.commands.find import COMMANDS, find
from kidoproxy.commands.spec import (
    COPY_ABSOLUTE_EXPIRY,
    COPY_BROADCAST,
    EXPIRY_KEPT,
    EXPIRY_OF_SOURCES,
    EXPIRY_SET,
    EXPIRY_UNAFFECTED,
    WRITE,
)
from tests.commands.oracle import SERVERS, ask, running


def effect_of(text: str) -> Any:
    """The effect of a request."""
    argv = text.encode().split()
    spec = find(argv)
    assert spec is not None
    return expiry_effect(spec, argv)


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("set k v", UNAFFECTED),
        ("set k v nx get", UNAFFECTED),
        ("SET k v XX KeepTTL", KEPT),
        ("set k v ex 0", SET),
        ("set k v px nonsense", SET),
        ("set k v pxat", SET),
        ("set k keepttl", UNAFFECTED),
        ("hset k f v", KEPT),
        ("zunionstore d 2 a b", OF_SOURCES),
        ("getex k pxat 7", SET),
        ("rename a b", SET),
        ("pexpireat k never", SET),
        ("pexpireat k -5", SET),
    ],
)
def test_effects(text: str, effect: object) -> None:
    """By command, and for SET by its options."""
    assert effect_of(text) is effect


@pytest.mark.parametrize("text", ["set k v pxat 7000", "SET k v EXAT 7", "pexpireat k 7000 nx", "expireat k 7"])
def test_moments(text: str) -> None:
    """Where the moment is named it is known in milliseconds."""
    effect = effect_of(text)
    assert (effect.check, effect.sets, effect.at_ms) == (NO_CHECK, NAMED_KEYS, 7000)


def test_setex_as_copies_are_sent_it() -> None:
    """SETEX becomes a SET, and is one."""
    effect = expiry_effect(COMMANDS[b"setex"], [b"SET", b"k", b"v", b"PXAT", b"7000"])
    assert effect.at_ms == 7000


def test_in_scripts() -> None:
    """SET with options may have any, as far as is known."""
    spec = COMMANDS[b"set"]
    assert trait_in_script(spec, [b"set", b"k", b"v"], False) == EXPIRY_UNAFFECTED
    assert trait_in_script(spec, [b"set", b"k", b"v"], True) == EXPIRY_SET
    assert trait_in_script(spec, [b"set", b"k", b"v", b"keepttl"], False) == EXPIRY_SET
    assert trait_in_script(COMMANDS[b"incr"], [b"incr"], True) == EXPIRY_KEPT


#: A request for each write that is said to keep an expiry, what its key ``k`` holds before; and for those said to
#: leave none earlier.
REQUESTS = """
append k v | set k v
decr k | set k 1
decrby k 2 | set k 1
incr k | set k 1
incrby k 2 | set k 1
incrbyfloat k 2 | set k 1
setbit k 1 1 | set k 1
setrange k 1 x | set k 1
bitfield k set u1 1 1 | set k 1
hset k f v | hset k g w
hmset k f v | hset k g w
hsetnx k f v | hset k g w
hincrby k f 1 | hset k g w
hincrbyfloat k f 1 | hset k g w
hsetex k fields 1 f v | hset k g w
lpush k v | lpush k w
rpush k v | lpush k w
lmove s k left left | lpush k w
rpoplpush s k | lpush k w
blmove s k left left 1 | lpush k w
brpoplpush s k 1 | lpush k w
sadd k v | sadd k w
smove t k m | sadd k w
zadd k 1 v | zadd k 1 w
zincrby k 1 v | zadd k 1 w
geoadd k 1 1 v | geoadd k 1 1 w
pfadd k v | pfadd k w
xadd k 5-5 f v | xadd k 1-1 f v
xgroup create k g $ mkstream | xadd k 1-1 f v
"""


@pytest.mark.live
@pytest.mark.parametrize("server", SERVERS)
def test_expiry_is_kept(server: str) -> None:
    """Each write that is said to keep an expiry does, and makes the key anew when there is none."""
    rows = [line.split(" | ") for line in REQUESTS.strip().splitlines()]
    names = {(find(row[0].encode().split()) or COMMANDS[b"get"]).name for row in rows}
    assert names == {
        spec.name
        for spec in [*COMMANDS.values(), *(COMMANDS[b"xgroup"].subcommands or {}).values()]
        if spec.expiry_trait == EXPIRY_KEPT
    }
    with running(server) as client:
        for request, before in rows:
            for exists in (True, False):
                client.flushall()
                client.rpush("s", "m")
                client.sadd("t", "m")
                if exists:
                    client.execute_command(*before.split())
                    client.pexpire("k", 50_000)
                reply = ask(client, request.encode().split())
                if "unknown command" in str(reply):
                    continue
                assert "error" not in str(reply), (request, reply)
                left = client.pttl("k")
                assert left > 40_000 if exists else left == -1, (request, left)


def test_every_write_to_copies_has_been_looked_at() -> None:
    """Writes that are not named may set an expiry: these do, or give a key that of another one, or are not repeated."""
    specs = list(COMMANDS.values())
    specs += [sub for spec in specs if spec.subcommands for sub in spec.subcommands.values()]
    unnamed = {
        spec.name.decode()
        for spec in specs
        if spec.expiry_trait == EXPIRY_SET
        and (spec.flags & WRITE or spec.may_write)
        and spec.replication in (COPY_BROADCAST, COPY_ABSOLUTE_EXPIRY)
    }
    assert " ".join(sorted(unnamed)) == (
        "copy expire expireat getex move msetex pexpire pexpireat psetex rename renamenx restore setex"
    )


def test_sources() -> None:
    """What stores the result of several keys, of which one may be gone unseen."""
    found = {name.decode() for name, spec in COMMANDS.items() if spec.expiry_trait == EXPIRY_OF_SOURCES}
    assert found == {"bitop", "pfmerge", "sort", "zunionstore"}
    assert KEPT.check == CHECK_BEHIND
