"""What the session notes of EVAL, SCRIPT and FUNCTION, alone and inside MULTI. Stories."""

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.resp import errors
from kidoproxy.resp.encode import array, encode_request
from kidoproxy.session.users import User, Users
from tests.scripts.one_script import DIGEST, LOAD, SAID, TEXT
from tests.story import (
    Event,
    Story,
    client,
    copies,
    frame,
    given,
    led_by,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)

CODE = b"#!lua name=lib\n"


def function(*words: bytes) -> bytes:
    """A FUNCTION request."""
    return encode_request([b"FUNCTION", *words])


def sha(key: str = "{a}k", name: str = "EVALSHA") -> str:
    """A request for the script."""
    return f"{name} {DIGEST} 1 {key}"


def lessons(play: Story) -> list[bytes]:
    """The scripts that a node would get loaded."""
    return play.context.script_registry.library_requests() + play.context.script_registry.script_load_requests()


@pytest.mark.parametrize("name", [b"EVAL", b"EVAL_RO"])
def test_seen(name: bytes) -> None:
    """The script of an EVAL is recorded, but loaded on no node: no client has loaded it."""
    request_context = encode_request([name, TEXT, b"0"])
    assert (
        story(ring("a")) >> client(request_context) << to("a", request_context) >> node("a", ":1") << to_client(":1")
        << then(
            lambda play: play.context.script_registry.find_script(DIGEST.encode()) is not None and lessons(play) == []
        )
    )  # fmt: skip


def test_loaded() -> None:
    """What SCRIPT LOAD and FUNCTION LOAD brought is loaded again from the moment that they have succeeded."""
    load = function(b"LOAD", b"replace", CODE)
    lesson = function(b"LOAD", b"REPLACE", CODE)
    play = story(ring("a")) >> client(LOAD, load) << to("a", LOAD, load) << then(lambda play: lessons(play) == [])
    assert (
        play
        >> node("a", SAID, "$3 lib")
        << to_client(SAID, "$3 lib")
        << then(lambda play: lessons(play) == [lesson, LOAD])
    )


def test_sent_behind_its_library() -> None:
    """A function is known as soon as its library is sent, also one that replaces another; not if that fails."""
    code = b"#!lua name=lib\nredis.register_function('f', function(k) return redis.call('%b', k[1]) end)"
    first, second, third = (function(b"LOAD", b"REPLACE", code % name) for name in (b"incr", b"get", b"nosuch"))
    play = story(copies("a")) >> client(first, "FCALL f 1 k") << to("a", first, "FCALL f 1 k")
    play = play >> node("a", "$3 lib", ":1") << to_client("$3 lib", ":1")
    play = play >> client(second) << to("a", second) >> node("a", "-ERR no") << to_client("-ERR no")
    play = play >> client("FCALL f 1 k") << to("a", "FCALL f 1 k") >> node("a", ":2") << to_client(":2")
    play = play >> client(third) << to("a", third) >> lost("a") << given(unheard)
    assert [list(each.analysis.commands) for each in play.context.script_registry.functions.values()] == [[b"incr"]]


def test_loaded_again() -> None:
    """The same library brings nothing new, and is the last one then."""
    load = function(b"LOAD", b"REPLACE", CODE)
    play = story(ring("a"))
    for _ in range(2):
        play = play >> client(load) << to("a", load) >> node("a", "$3 lib") << to_client("$3 lib")
    assert lessons(play) == [load]


def test_not_loaded() -> None:
    """A load that failed on all nodes is not repeated."""
    load = function(b"LOAD", CODE)
    play = story(ring("a")) >> client(LOAD, load, load, load) << to("a", LOAD, load, load, load)
    assert play >> node("a", "-ERR no", "-ERR Library 'lib' already exists") << given(unheard)
    assert play >> lost("a") << given(unheard) << then(lambda play: lessons(play) == [])


def test_flushed_under_way() -> None:
    """What is flushed before its load is answered is not loaded again."""
    play = story(ring("a")) >> client(LOAD, "SCRIPT FLUSH") << to("a", LOAD, "SCRIPT FLUSH")
    assert play >> node("a", SAID, "+OK") << to_client(SAID, "+OK") << then(lambda play: lessons(play) == [])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ((b"DELETE", b"lib"), []),
        ((b"FLUSH",), []),
        ((b"FLUSH", b"SYNC"), []),
        ((b"RESTORE", b"dump", b"FLUSH"), [function(b"RESTORE", b"dump", b"REPLACE")]),
        (
            (b"RESTORE", b"dump"),
            [function(b"LOAD", b"REPLACE", CODE), function(b"RESTORE", b"dump", b"REPLACE")],
        ),
    ],
)
@pytest.mark.parametrize("other", [node("b", "+OK"), node("b", "-READONLY no"), lost("b")])
def test_changed(words: tuple[bytes, ...], left: list[bytes], other: Event) -> None:
    """A deleted library is not loaded again, even if one node could not delete it: it must not come back by itself."""
    play = story(ring("a", "b"))
    play.context.script_registry.load_library(CODE)
    request_context = function(*words)
    assert play >> client(request_context) << to("a", request_context) << to("b", request_context) >> node("a", "+OK")
    assert play >> other << given(unheard)
    assert lessons(play) == left


def test_not_changed() -> None:
    """What every node refuses changes nothing."""
    play = story(ring("a"))
    play.context.script_registry.load_library(CODE)
    assert play >> client("FUNCTION DELETE x") << to("a", "FUNCTION DELETE x") >> node("a", "-ERR Library not found")
    assert play << to_client("-ERR Library not found") << then(lambda play: len(lessons(play)) == 1)


def test_nobody_answers() -> None:
    """Copies that are all lost tell their failure, and nothing is noted."""
    play = story(copies("a"))
    play.context.script_registry.load_library(CODE)
    assert play >> client("FUNCTION FLUSH") << to("a", "FUNCTION FLUSH") >> lost("a")
    assert play << then(lambda play: play.client("me").received.startswith(b"-NODEDOWN a")) << given(unheard)
    assert len(lessons(play)) == 1


def test_nothing_to_note() -> None:
    """The others are asked as ever."""
    request_context = "FUNCTION LIST"
    assert (
        story(ring("a"))
        >> client(request_context)
        << to("a", request_context)
        >> node("a", "*0")
        << to_client("*0")
        << then(lambda play: not lessons(play))
    )


# -- MULTI -------------------------------------------------------------------------------------------------


def test_multi_on_one_node() -> None:
    """The text goes ahead of MULTI, in the same turn as the transaction, whatever the connection has carried."""
    play = story(ring("a"))
    play.context.script_registry.remember(TEXT)
    queued = ("+OK", "+QUEUED", "+QUEUED")
    for _ in range(2):
        assert play >> client("MULTI", sha(), "GET {a}k", "EXEC") << to("a", LOAD, "MULTI", sha(), "GET {a}k", "EXEC")
        assert play << to_client(*queued) >> node("a", SAID, *queued, "*2 :1 $1 v") << to_client("*2 :1 $1 v")
        play.executor.now += 1


def test_multi_on_several_nodes() -> None:
    """Each node's part has the texts that it needs ahead of it, each once."""
    play = story(ring("a", "b"))
    play.context.script_registry.remember(TEXT)
    assert (
        play
        >> client("MULTI", sha(), sha(), "GET {b}k", "EXEC")
        << to("a", LOAD, "MULTI", sha(), sha(), "EXEC") << to("b", "MULTI", "GET {b}k", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED", "+QUEUED")
        >> node("a", SAID, "+OK", "+QUEUED", "+QUEUED", "*2 :1 :2") >> node("b", "+OK", "+QUEUED", "*1 $-1")
        << to_client("*3 :1 :2 $-1")
    )  # fmt: skip


def test_multi_unknown() -> None:
    """What nobody has shown the proxy is for the node to know; what is shown inside is known afterwards."""
    request_context = encode_request([b"EVAL", TEXT, b"1", b"{a}k"])
    inside = frame("*2 #no :1").replace(b"#no\r\n", errors.NOSCRIPT)
    assert (
        story(ring("a"))
        >> client("MULTI", sha(), request_context, "EXEC") << to("a", "MULTI", sha(), request_context, "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", inside) << to_client(inside)
        << then(lambda play: play.context.script_registry.find_script(DIGEST.encode()) is not None)
    )  # fmt: skip


def test_multi_of_copies() -> None:
    """Copies get EVAL where the script writes, and the text ahead where it reads."""
    pool = copies("a", "b")
    play = story(pool)
    text = b"return redis.call('set', KEYS[1], 1)"
    write = encode_request([b"EVALSHA", play.context.script_registry.remember(text), b"1", b"k"])
    play.context.script_registry.remember(TEXT)
    run = encode_request([b"EVAL", text, b"1", b"k"])
    read = sha("k", "EVALSHA_RO")
    play = play >> client("MULTI", write, "EXEC") << to("a", "MULTI", run, "EXEC") << to("b", "MULTI", run, "EXEC")
    play = play << to_client("+OK", "+QUEUED")
    assert play >> node("a", "+OK", "+QUEUED", "*1 :1") >> node("b", "+OK", "+QUEUED", "*1 :1") << given(unheard)
    assert play >> client("MULTI", read, "EXEC") << to("a", LOAD, "MULTI", read, "EXEC")


def test_multi_loads() -> None:
    """SCRIPT LOAD and FUNCTION LOAD inside a transaction count when their own replies are good."""
    load = function(b"LOAD", CODE)
    play = story(ring("a")) >> client("MULTI", LOAD, load, "EXEC") << to("a", "MULTI", LOAD, load, "EXEC")
    play = play << given(unheard)
    reply = array([frame(SAID), b"-ERR no\r\n"])
    assert play >> node("a", "+OK", "+QUEUED", "+QUEUED", reply) << given(unheard)
    assert lessons(play) == [LOAD]


def test_multi_refused() -> None:
    """Keys that do not meet are refused while queueing, as ever."""
    play = story(ring("a", "b"))
    play.context.script_registry.remember(TEXT)
    both = f"EVALSHA {DIGEST} 2 {{a}}k {{b}}k"
    assert play >> client(both) << given(unheard) << silence()
    assert play >> client("MULTI", both, "EXEC") << then(lambda play: b"EXECABORT" in play.client("me").received)
    assert play << given(unheard) << silence()
    assert led_by(copies("a"), "a")


# -- what a pool refuses -----------------------------------------------------------------------------------


def words(deny: str = "", allow: str = "", **rename: str) -> CommandSet:
    """What a pool denies, allows and renames."""
    return CommandSet(
        frozenset(deny.encode().split()),
        frozenset(allow.encode().split()),
        {old.encode(): new.encode() for old, new in rename.items()},
    )


DENIED = [
    (words(), "migrate", "it would move keys to where the proxy does not look for them"),
    (
        words(),
        "swapdb",
        "it exchanges whole databases under every client, and under a sync; the pool's `allow` opens it",
    ),
    (words(), "shutdown", "it would stop a node under every client"),
    (words("flushall"), "flushall", "this pool's configuration denies it"),
    (words("get"), "get", "this pool's configuration denies it"),
    (words("ft.search"), "ft.search", "this pool's configuration denies it"),
    (words(flushall="really"), "flushall", "this pool has another name for it, or none"),
    (words(flushall=""), "flushall", "this pool has another name for it, or none"),
]


@pytest.mark.parametrize(("commands", "called", "why"), DENIED)
@pytest.mark.parametrize("form", ["redis.call('{}')", "local c = redis.pcall return c([[{}]])", "redis.call(ARGV[1])"])
def test_script_that_calls_what_is_denied(commands: CommandSet, called: str, why: str, form: str) -> None:
    """A script may not do what its client may not: the command inside is named, alone, in MULTI, by EACH, by digest."""
    text = form.replace("{}", called.upper()).encode()
    refusal = f"-ERR '{{}}' is not served here: its script calls '{called}': {why}\r\n"
    for pool in (ring("a"), ring("a", "b"), copies("a", "b")):
        pool.words = commands
        play = story(pool)
        digest = play.context.script_registry.remember(text)
        for request in (
            [b"EVAL", text, b"0", called.encode()],
            [b"EVAL_RO", text, b"1", b"k", called.encode()],
            [b"EVALSHA", digest, b"0", called.encode()],
        ):
            said = refusal.format(request[0].decode().lower()).encode()
            for _ in range(2):
                play >> client(encode_request(request)) << to_client(said)
            (
                play
                >> client("MULTI", encode_request(request), "EXEC")
                << to_client("+OK", said, errors.EXECABORT)
                << silence()
            )
            play >> client(encode_request([b"PROXY", b"EACH", *request])) << to_client(said) << silence()
            if request[0] == b"EVAL_RO":
                play >> client(encode_request([b"PROXY", b"NODE", b"a", *request])) << to_client(said) << silence()
        play >> client(encode_request([b"PROXY", b"ROUTE", b"EVAL", text, b"0", called.encode()]))
        assert b"refused: ERR 'eval' is not served here: its script calls" in play.client("me").received
        play << given(unheard)


def test_function_that_calls_what_is_denied() -> None:
    """So it is with functions that were loaded through the pool."""
    play = story(ring("a"))
    play.context.script_registry.load_library(
        b"#!lua name=x\nredis.register_function('f', function() redis.call('migrate') end)"
    )
    play >> client("FCALL f 0", "FCALL g 0") << to("a", "FCALL g 0")
    assert b"its script calls 'migrate'" in play.client("me").received
    play << given(unheard)


def test_script_that_calls_what_is_served() -> None:
    """What the pool opens, and what nobody knows, is the node's to answer; so is a request that is no script."""
    play = story(ring("a", words=words("del", "swapdb")))
    for text in (
        "return redis.call('swapdb',0,1)",
        "return redis.call('nosuch')",
        "return redis.call('object',ARGV[1])",
    ):
        request_context = encode_request([b"EVAL", text.encode(), b"1", b"k"])
        play = play >> client(request_context) << to("a", request_context) >> node("a", ":1") << to_client(":1")
    play >> client("EVAL x", "FCALL f") << given(unheard) << silence()


def test_script_that_calls_what_its_user_may_not() -> None:
    """A user who may run scripts may not run in them what the rules forbid, as far as it can be seen."""
    pool = ring("a", words=words())
    pool.users = Users([User(b"default", Acl("+@all +eval -flushall -@dangerous"), True, True, [])])
    play = story(pool)
    flush = encode_request([b"EVAL", b"return redis.call('FLUSHALL')", b"0"])
    said = b"-NOPERM this user has no permissions to run the 'flushall' command, which the script of 'eval' calls\r\n"
    play >> client(flush, flush) << to_client(said, said) << silence()
    fine = encode_request([b"EVAL", b"return redis.call('get', KEYS[1]) or redis.call('nosuch')", b"1", b"k"])
    play >> client(fine) << to("a", fine)
