"""Real servers as oracle of what users may do: our verdict on any request is that of ``ACL DRYRUN`` there.

Every command of the table is checked by several sets of rules, and every request of the live script by limited
keys. What differs is named here with its reason.
"""

import hashlib
from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any, Final

import pytest

from kidoproxy.commands.acl import CATEGORIES, DENIED_COMMAND, DENIED_KEY, SCRIPT_RUNNERS, Acl
from kidoproxy.commands.find import all_specs, find
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.session.handlers.acl import format_user, user_details
from kidoproxy.session.users import User, password_digest
from tests.commands.oracle import SERVERS, ask, running
from tests.live.asking import lines
from tests.live.script import WHOLE
from tests.live.script_keyed import KEYED

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """A server of each kind."""
    with running(request.param) as client:
        yield request.param, client


RULES: Final = (
    "",
    "+@all",
    "-@all",
    "allcommands",
    "+@all nocommands +@string",
    "+@read",
    "+@read -@dangerous +config|get +set +select",
    "+@all -@dangerous",
    "+@all -@admin -@slow +config|get +info",
    "+@slow -config -client|list",
    "+@connection -client +client|setname",
    "-@all +get +set +config|get -config +config",
    "+config|get +config -config|set",
    "+@fast -@write",
    "+@all -@all +@pubsub +@stream",
    "+@scripting",
    "+@scripting -eval",
    "+@all -@scripting +eval_ro +fcall",
    "+@scripting +@all -@write",
    "+@all -@fast +@keyspace -@blocking -acl +acl|whoami",
    "allcommands -eval -fcall",
    "+@transaction +@geo +@bitmap +@hyperloglog +@hash +@list +@set +@sortedset -@read",
    "+GET -@Read +Config|Get",
)

#: The servers put it into other categories.
ELSEWHERE: Final = {"redis": (b"wait",), "valkey": ()}
#: Their number of words cannot be said by one number, and 7.0 looks closer.
WORDY: Final = (b"command|getkeys", b"command|getkeysandflags")


def least(spec: CommandSpec) -> list[bytes]:
    """The shortest request that has as many words as the command wants."""
    argv = spec.name.split(b"|")
    while not spec.accepts(len(argv)):
        argv.append(b"1")
    return argv


def verdict(acl: Acl, argv: list[bytes]) -> str:
    """Ours, as one of the words that `dry_run` gives."""
    spec = find(argv)
    assert spec is not None
    denial = acl.check(spec, argv)
    if denial is None:
        return "OK"
    return "command" if denial.kind == DENIED_COMMAND else "key" if denial.kind == DENIED_KEY else "channel"


def dry_run(client: Any, argv: list[bytes]) -> str:
    """The server's: OK, command, key or channel; empty when it does not know or take the command."""
    said = ask(client, [b"ACL", b"DRYRUN", b"alice", *argv])
    if isinstance(said, str):
        assert "not found" in said or "wrong number" in said, said
        return ""
    if said == b"OK":
        return "OK"
    return str(said.decode("latin-1").split()[-1]) if b"access the" in said else "command"


def become(client: Any, *rules: bytes | str) -> None:
    """Alice has just these rules."""
    assert ask(client, [b"ACL", b"SETUSER", b"alice", b"reset", b"on", *map(encoded, rules)]) == b"OK"


def encoded(rule: bytes | str) -> bytes:
    """As bytes."""
    return rule.encode() if isinstance(rule, str) else rule


@pytest.mark.parametrize("rules", RULES)
def test_commands(server: tuple[str, Any], rules: str) -> None:
    """For every command of the table and every set of rules our verdict is the server's.

    The exception is deliberate: to somebody who is limited, scripts must be granted by name.
    """
    assert compare(*server, rules) > 340


@pytest.mark.parametrize("seed", range(20))
def test_any_rules(server: tuple[str, Any], seed: int) -> None:
    """The same for rules that nobody has chosen."""
    chance = Random(seed)
    become(server[1], "+@all")
    names = [spec.name.decode() for spec in all_specs() if dry_run_knows(server[1], spec)]
    targets = [*names, *[f"@{word}" for word in CATEGORIES.split()] * 10, *["@all"] * 20]
    rules = " ".join(chance.choice("+-") + chance.choice(targets) for _ in range(chance.randint(1, 9)))
    assert compare(*server, rules) > 340


def dry_run_knows(client: Any, spec: CommandSpec) -> bool:
    """Whether the server has this command."""
    return bool(dry_run(client, least(spec)))


def compare(name: str, client: Any, rules: str) -> int:
    """Check every command by these rules, here and there; how many there were."""
    become(client, "~*", "&*", *rules.split())
    acl = Acl(rules)
    checked = 0
    for spec in all_specs():
        argv = least(spec)
        theirs = dry_run(client, argv)
        if not theirs or spec.name in ELSEWHERE[name] or spec.name in WORDY:
            continue
        checked += 1
        ours = verdict(acl, argv)
        if spec.name in SCRIPT_RUNNERS and ours != theirs:
            assert (ours, theirs) == ("command", "OK")
            assert not acl.unrestricted
            assert not any(rule.allows_scripting() for rule in acl.rules)
        else:
            assert (rules, spec.name, ours) == (rules, spec.name, theirs)
    return checked


PATTERNS: Final = (b"~rw:*", b"%R~r:*", b"%W~w:*")
NAMES: Final = (b"rw:1", b"r:1", b"w:1", b"x")

#: Where options decide what is done to a key, or which keys there are.
OPTIONS: Final = """
set k v get
set k v GET ex 10
set k get
set k v nx
bitfield k get u8 0
bitfield k overflow wrap get u8 0
bitfield k get u8 0 set u8 0 1
bitfield k incrby u8 0 1
bitfield k get u8
bitfield k overflow
bitfield k nonsense
sort k
sort k store l
sort k limit 0 1 by nosort store l
sort_ro k
georadius k 1 1 1 m
georadius k 1 1 1 m store l
georadius k 1 1 1 m count 1 storedist l
georadiusbymember k m 1 m store l
xread count 1 streams k l 0 0
xread streams k
xreadgroup group g c streams k >
migrate h 1 k 0 1
migrate h 1 "" 0 1 keys k l
eval "return 1" 1 k
eval "return 1" 2 k l
fcall f 2 k l
zunionstore k 1 l
zunionstore k nonsense l
zunion 2 k l
object encoding k
memory usage k
exists k
touch k l
copy k l
rename k l
lmove k l left left
blmove k l left left 1
brpoplpush k l 1
blpop k l 1
smove k l m
bitop and k l
pfcount k
pfcount k l
pfmerge k l
restore k 0 x
publish k x
"""


def requests() -> list[list[bytes]]:
    """Those of the live script, those above, and the shortest of each command."""
    found = [argv for argv in lines(OPTIONS + KEYED + WHOLE) if find(argv) is not None and not is_wrong(argv)]
    return found + [least(spec) for spec in all_specs()]


def is_wrong(argv: list[bytes]) -> bool:
    """SORT_RO has no STORE; what follows it is a key to us, and nothing to the server."""
    return argv[0].lower() == b"sort_ro" and b"store" in [word.lower() for word in argv]


def with_keys(argv: list[bytes]) -> Iterator[list[bytes]]:
    """The request with its first two keys taken from all that there is, the others the one where all is allowed."""
    spec = find(argv)
    assert spec is not None
    places = key_positions(spec, argv) if spec.accepts(len(argv)) else []
    if spec.name == b"migrate" and argv[3] == b"":
        places = [at for at in places if at > 3]
    for names in product(NAMES, repeat=min(2, len(places))):
        chosen = dict(zip(places, [*names, *[NAMES[0]] * len(places)], strict=False))
        yield [chosen.get(at, word) for at, word in enumerate(argv)]


def has_no_keys(client: Any, argv: list[bytes]) -> bool:
    """Whether the server finds no keys in the request."""
    return isinstance(ask(client, [b"COMMAND", b"GETKEYS", *argv]), str)


def test_keys(server: tuple[str, Any]) -> None:
    """Whatever a command does to its keys, a limited user may do it just where the server lets it.

    Of a request that is wrong a server may find no key at all, and let it pass to its error; we may find some.
    """
    _, client = server
    become(client, "+@all", "+@scripting", "&*", *PATTERNS)
    acl = Acl("+@all +@scripting", PATTERNS)
    checked = set()
    for argv in requests():
        for one in with_keys(argv):
            theirs = dry_run(client, one)
            if not theirs or (theirs == "OK" and has_no_keys(client, one)):
                continue
            checked.add(theirs)
            assert (one, verdict(acl, one)) == (one, theirs)
    assert checked == {"OK", "key"}


GLOBS: Final = (b"*", b"a?c", b"a[bx]c", b"a[^b]c", b"\\*", b"abc", b"a*c*", b"[a-c]*", b"")
WORDS: Final = (b"abc", b"axc", b"ac", b"*", b"a\nc", b"abcd", b"b", b"ABC", b"\xff", b"")


@pytest.mark.parametrize("sign", ["~", "%R~", "%W~", "%RW~"])
def test_patterns_of_keys(server: tuple[str, Any], sign: str) -> None:
    """A pattern means for us what it means for the server, whatever it may do."""
    _, client = server
    for glob in GLOBS:
        text = sign.encode() + glob
        become(client, "+@all", "&*", text)
        acl = Acl("+@all", (text.replace(b"%RW~", b"~"),))
        for key in WORDS:
            if (text, key) == (b"%RW~*", b""):
                # Ours is ~*, all keys; theirs is a pattern, and no pattern but the empty one fits an empty key.
                continue
            for argv in ([b"GET", key], [b"SET", key, b"v"], [b"EXISTS", key], [b"INCR", key]):
                assert (text, argv, verdict(acl, argv)) == (text, argv, dry_run(client, argv))


CHANNELS: Final = (b"&abc", b"&a?c", b"&x*", b"&\\*")


@pytest.mark.parametrize("name", ["PUBLISH", "SPUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE"])
def test_channels(server: tuple[str, Any], name: str) -> None:
    """Channels are matched, patterns must be the very ones that are allowed; to leave needs no permission."""
    _, client = server
    rest = [b"m"] if name.endswith("PUBLISH") else []
    for allowed in ((), CHANNELS[:1], CHANNELS, (b"&*",)):
        become(client, "+@all", "~*", "resetchannels", *allowed)
        acl = Acl("+@all", (b"~*",), allowed)
        for channel in (*WORDS, b"a?c", b"x*", b"x1", b"\\*"):
            argv = [name.encode(), channel, *rest]
            assert (allowed, argv, verdict(acl, argv)) == (allowed, argv, dry_run(client, argv))
            if not rest:
                argv.append(b"abc")
                assert (allowed, argv, verdict(acl, argv)) == (allowed, argv, dry_run(client, argv))


SHOWN: Final = (
    ("+@all", (b"~*",), (b"&*",), ["nopass"]),
    ("+@all", (b"~*",), (), ["off"]),
    ("", (), (), [">secret"]),
    ("+@read -@dangerous +get", (b"~a:*", b"%R~b:*", b"%W~c"), (b"&x*", b"&y"), [">secret", ">another"]),
    ("+@all -config|set -config +config|get", (b"~*",), (b"&x",), ["nopass", "off"]),
)


@pytest.mark.parametrize(("commands", "patterns", "channels", "more"), SHOWN)
def test_shown(
    commands: str, patterns: tuple[bytes, ...], channels: tuple[bytes, ...], more: list[str], server: tuple[str, Any]
) -> None:
    """ACL GETUSER and ACL LIST say it as the server does; of the rules Redis 7.0 makes a text of its own."""
    name, client = server
    become(client, *more, *patterns, "resetchannels", *channels, *commands.split())
    passwords = [word[1:].encode() for word in more if word.startswith(">")]
    user = User(
        b"alice",
        Acl(commands, patterns, channels),
        "off" not in more,
        "nopass" in more,
        [password_digest(password) for password in passwords],
    )
    line = next(line for line in ask(client, [b"ACL", b"LIST"]) if line.startswith(b"user alice "))
    line = line.replace(b" sanitize-payload", b"").replace(b" alldbs", b"")
    if name == "valkey" or not user.acl.rules:
        assert format_user(user) == line.rstrip()
        assert user.acl.format_commands() == fields(ask(client, [b"ACL", b"GETUSER", b"alice"]))[b"commands"]
    else:
        assert format_user(user).rpartition(b"@all")[0] == line.rpartition(b"@all")[0]
    assert passwords == [] or hashlib.sha256(passwords[0]).hexdigest() in format_user(user).decode()
    assert user_details(user, 2).startswith(b"*12\r\n$5\r\nflags\r\n")


def fields(flat: list[Any]) -> dict[Any, Any]:
    """A map that came as a flat array."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
