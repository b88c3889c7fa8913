"""The commands of one pool: denied, allowed, renamed, learned."""

from kidoproxy.commands.answers import entry
from kidoproxy.commands.find import COMMANDS, named
from kidoproxy.commands.learn import learn
from kidoproxy.commands.spec import INDEX, RANGE, CommandSpec
from kidoproxy.commands.vocabulary import UNKNOWN_NAMES, Vocabulary
from kidoproxy.resp.build import array


def words(deny: str = "", allow: str = "", rename: dict[bytes, bytes] | None = None) -> Vocabulary:
    """A vocabulary from blank-separated names."""
    return Vocabulary(frozenset(deny.encode().split()), frozenset(allow.encode().split()), rename or {})


def spec_of(name: bytes) -> CommandSpec:
    """The spec with this full name."""
    spec = named(name)
    assert spec is not None
    return spec


def module(name: str) -> CommandSpec:
    """A module's command with one key, as a node teaches it."""
    row = ("RO", INDEX, "", 1, RANGE, 0, 1, 0, "")
    spec = learn(array([entry(CommandSpec((name, -2, "readonly", 1, 1, 1, "", "", (row,), "", "", "")), 2)]))
    assert spec is not None
    return spec


def test_deny() -> None:
    """A name, or a container with all its subcommands."""
    pool = words(deny="keys config client|kill")
    for name in (b"keys", b"config|get", b"client|kill"):
        assert "denies" in pool.refused(spec_of(name))
    for name in (b"get", b"client|id"):
        assert pool.refused(spec_of(name)) == ""


def test_allow() -> None:
    """What is refused by default is opened by its name or its container's; the refusal says so."""
    assert words().refused(spec_of(b"config|set")).endswith("; the pool's `allow` opens it")
    for allow in ("config", "config|set"):
        assert words(allow=allow).refused(spec_of(b"config|set")) == ""
    assert words(allow="config", deny="config|set").refused(spec_of(b"config|set"))


def test_picky() -> None:
    """No command that is denied or renamed takes the short way unseen, not even one that is learned later."""
    assert not words().picky
    assert not words(deny="keys config|set").picky
    assert words(deny="get").picky
    assert words(deny="json.get").picky
    assert words(rename={b"keys": b"k"}).picky


def test_rename() -> None:
    """The new name is the command, the old one is unknown; an empty new name is off."""
    pool = words(rename={b"flushall": b"secret", b"keys": b""})
    assert pool.original(b"SECRET") == b"flushall"
    assert pool.original(b"get") is None
    assert pool.hides(b"FlushAll")
    assert pool.hides(b"keys")
    assert not pool.worth_asking(b"keys")


def test_learn() -> None:
    """What a node taught is found, in any letter case, its subcommands too; the table comes first."""
    pool = words()
    assert pool.find([b"x.get", b"k"]) is None
    assert pool.find([b"GET", b"k"]) is COMMANDS[b"get"]
    spec = module("x.get")
    pool.learn(b"X.Get", spec)
    assert pool.find([b"x.GET", b"k"]) is spec
    assert pool.find([b"x.put", b"k"]) is None
    container = module("x.group")
    container.subs = {b"one": spec}
    pool.learn(b"x.group", container)
    assert pool.find([b"X.GROUP", b"One"]) is spec
    assert pool.find([b"X.GROUP", b"two"]) is container


def test_full_names() -> None:
    """The full name of a subcommand is no command, though COMMAND INFO knows it: nobody is asked about it."""
    for name in (b"config|get", b"CONFIG|GET", b"get|", b"|", b"x.group|one"):
        assert words().find([name, b"x"]) is None
        assert not words().worth_asking(name)


def test_unknown() -> None:
    """What no node knows is not asked for again, until a node comes back; so many names are kept at most."""
    pool = words()
    assert pool.worth_asking(b"nope")
    pool.learn(b"NOPE", None)
    assert not pool.worth_asking(b"nope")
    pool.forget()
    assert pool.worth_asking(b"nope")
    for i in range(UNKNOWN_NAMES + 1):
        pool.learn(b"x%d" % i, None)
    assert len(pool.unknown) == 1
