"""Copies are sent the text of a script a few times, then asked to keep it, then sent its digest. Stories."""

from typing import Final

import pytest

from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.scripts import USES_BY_TEXT
from kidoproxy.scripts.interposed import hex_digest, interposed_script, may_make_errors
from kidoproxy.scripts.registry import MAX_SCRIPTS
from tests.story import (
    WALL_MS,
    Story,
    client,
    copies,
    given,
    lost,
    node,
    refused,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)

TEXT: Final = b"return redis.call('expire', KEYS[1], 5)"
LOUD: Final = b"return redis.call('publish', 'c', 'm')"
SCRIPT: Final = interposed_script(TEXT, ["EXPIRE"])
LOAD: Final = encode_request([b"SCRIPT", b"LOAD", SCRIPT.text])
REQUEST: Final = encode_request([b"EVAL", TEXT, b"1", b"k"])
NOSCRIPT: Final = "-NOSCRIPT No matching script. Please use EVAL."


def by_text(turn: int) -> bytes:
    """What a copy is sent of the so-many-th call, from 0."""
    return encode_request([b"EVAL", SCRIPT.text, b"1", b"k", b"0%d" % (WALL_MS * 1000 + 10 * turn)])


def by_digest(turn: int) -> bytes:
    """The same by digest."""
    return encode_request([b"EVALSHA", SCRIPT.digest, b"1", b"k", b"0%d" % (WALL_MS * 1000 + 10 * turn)])


def called(play: Story, *sent: bytes, reply: str = ":1", load: str = "") -> Story:
    """The client calls the script; both copies are sent this, and answer; ``load``: what they say to the first."""
    play = play >> client(REQUEST) << to("a", *sent) << to("b", *sent)
    replies = [load, reply] if load else [reply]
    return play >> node("a", *replies) >> node("b", *replies) << to_client(reply)


def used() -> Story:
    """Two copies have been sent the text as often as nobody asks them to keep it."""
    play = story(copies("a", "b"))
    for turn in range(USES_BY_TEXT):
        play = called(play, by_text(turn))
    return play


def kept() -> Story:
    """And keep it since the call after that."""
    return called(used(), LOAD, by_text(3), load="$40 " + SCRIPT.digest.decode())


def test_a_script_that_is_used_often() -> None:
    """The text is sent until a copy has said that it keeps it; then the digest, by text or by digest as is asked."""
    play = called(kept(), by_digest(4))
    evalsha = encode_request([b"EVALSHA", SCRIPT.shown[0][1], b"1", b"k"])
    play = play >> client(evalsha) << to("a", by_digest(5)) << to("b", by_digest(5))
    play >> node("a", ":1") >> node("b", ":1") << to_client(":1") << silence()


def test_before_it_is_kept() -> None:
    """What is sent before the copy has answered has the text, and the copy is not asked again."""
    play = used() >> client(REQUEST, REQUEST) << to("a", LOAD, by_text(3), by_text(4))
    play = play << to("b", LOAD, by_text(3), by_text(4)) >> node("a", "+kept", ":1", ":1") >> node("b", "+kept", ":1")
    play = play << to_client(":1") >> node("b", ":1") << to_client(":1")
    called(play, by_digest(5)) << silence()


def test_a_copy_that_does_not_keep_it() -> None:
    """It is sent the text."""
    play = called(used(), LOAD, by_text(3), load="-NOPERM no")
    called(play, by_text(4)) << silence()


@pytest.mark.parametrize("request_", [REQUEST, encode_request([b"EVALSHA", SCRIPT.shown[0][1], b"1", b"k"])])
def test_forgotten_by_all(request_: bytes) -> None:
    """If no copy has it none has run it: they are all sent the text, and asked to keep it again."""
    play = kept() >> client(request_) << to("a", by_digest(4)) << to("b", by_digest(4))
    play = play >> node("a", NOSCRIPT) << silence() >> node("b", NOSCRIPT)
    play = play << to("a", LOAD, by_text(4)) << to("b", LOAD, by_text(4))
    play = play >> node("a", "+kept", ":1") >> node("b", "+kept", ":1") << to_client(":1")
    assert play.executor.noscript_retries == 1
    assert play.pool.groups[0].behind_names() == []
    called(play, by_digest(5))


def test_a_user_who_may_not() -> None:
    """A copy's user who may run EVAL alone is sent the text of all scripts from then on."""
    refusal = "-NOPERM User default has no permissions to run the 'evalsha' command"
    play = kept() >> client(REQUEST) << to("a", by_digest(4)) << to("b", by_digest(4))
    play = play >> node("a", refusal) >> node("b", refusal) << to("a", by_text(4)) << to("b", by_text(4))
    play = play >> node("a", ":1") >> node("b", ":1") << to_client(":1")
    called(play, by_text(5)) << silence()


def test_a_script_that_may_not() -> None:
    """What the script itself may not do is the client's error: it has run."""
    refusal = "-NOPERM User default has no permissions to run the 'expire' command"
    play = kept() >> client(REQUEST) << to("a", by_digest(4)) << to("b", by_digest(4))
    play >> node("a", refusal) >> node("b", refusal) << to_client(refusal) << silence()


def test_forgotten_by_one() -> None:
    """The other one has run it: the one that has not is behind, and gets the text of what follows."""
    play = kept() >> client(REQUEST) << to("a", by_digest(4)) << to("b", by_digest(4))
    play = play >> node("a", NOSCRIPT) >> node("b", ":1") << to_client(":1")
    assert play.pool.groups[0].behind_names() == ["a"]
    play = play >> client(REQUEST) << to("b", by_digest(5)) << to("a", by_text(5))
    play >> node("a", ":1") >> node("b", ":1") << to_client(":1") << silence()


def test_an_error_that_is_none_of_ours() -> None:
    """Another error is the client's."""
    play = kept() >> client(REQUEST) << to("a", by_digest(4)) << to("b", by_digest(4))
    said = f"-WRONGTYPE x script: {SCRIPT.digest.decode()}"
    shown = f"-WRONGTYPE x script: {SCRIPT.shown[0][1].decode()}"
    play >> node("a", said) >> node("b", said) << to_client(shown) << silence()


def test_flushed() -> None:
    """SCRIPT FLUSH through the proxy forgets it; also if the answer of a copy that keeps it comes later."""
    flush = "SCRIPT FLUSH"
    play = kept() >> client(flush, REQUEST) << to("a", flush) << to("b", flush)
    unheard(play)
    play = used() >> client(REQUEST, flush, REQUEST)
    texts = [one.raw for one in play.sent["a"]]
    assert texts.count(LOAD) == 1
    assert not any(b"EVALSHA" in text for text in texts)
    unheard(play)
    play = play >> node("a", "+kept", ":1", "+OK", ":1") >> node("b", "+kept", ":1", "+OK", ":1") << given(unheard)
    play >> client(REQUEST)
    assert not any(b"EVALSHA" in one.raw for sent in play.sent.values() for one in sent)
    unheard(play)


def test_another_connection() -> None:
    """A server that was away may have forgotten everything."""
    play = kept() >> lost("b") << given(unheard)
    play = play >> client(REQUEST) << to("a", by_digest(4)) << to("b", LOAD, by_text(4))
    play = play >> node("a", ":1") >> node("b", "+kept", ":1") << to_client(":1")
    play = called(play, by_digest(5)) >> refused("b") << given(unheard)
    play >> client(REQUEST) << to("a", by_digest(6)) << silence()


def test_who_publishes() -> None:
    """The copy that the proxy listens to is told so by digest, too."""
    script = interposed_script(LOUD, ["PUBLISH"])
    play = story(copies("a", "b"))
    play.pool.groups[0].pubsub_node, play.pool.groups[0].pubsub_connections = play.pool.nodes[0], 1
    for turn in range(USES_BY_TEXT + 2):
        mark = b"%d" % (WALL_MS * 1000 + 10 * turn)
        head = [b"EVAL", script.text, b"0"] if turn <= USES_BY_TEXT else [b"EVALSHA", script.digest, b"0"]
        play = play >> client(encode_request([b"EVAL", LOUD, b"0"]))
        load = [encode_request([b"SCRIPT", b"LOAD", script.text])] if turn == USES_BY_TEXT else []
        play = play << to("a", *load, encode_request([*head, b"1" + mark]))
        play = play << to("b", *load, encode_request([*head, b"0" + mark]))
        replies = ["+kept", ":0"] if load else [":0"]
        play = play >> node("a", *replies) >> node("b", *replies) << to_client(":0")


def test_a_script_without_a_prologue() -> None:
    """What a client asks for by digest copies are sent by digest, when they keep it; its text goes on as it is."""
    text = b"return redis.call('incr', KEYS[1])"
    digest = hex_digest(text)
    words, evalsha = ([b"EVAL", text, b"1", b"k"], [b"EVALSHA", digest, b"1", b"k"])
    play = story(copies("a", "b")) >> client(encode_request(words)) << to("a", encode_request(words))
    play = play << to("b", encode_request(words)) >> node("a", ":1") >> node("b", ":1") << to_client(":1")
    for turn in range(USES_BY_TEXT + 2):
        sent = encode_request(words if turn <= USES_BY_TEXT else evalsha)
        load = [encode_request([b"SCRIPT", b"LOAD", text])] if turn == USES_BY_TEXT else []
        play = play >> client(encode_request(evalsha)) << to("a", *load, sent) << to("b", *load, sent)
        replies = ["+kept", ":1"] if load else [":1"]
        play = play >> node("a", *replies) >> node("b", *replies) << to_client(":1")


def test_elsewhere() -> None:
    """A list of all copies' replies, and a transaction, have the text."""
    each = encode_request([b"PROXY", b"EACH", b"EVAL", TEXT, b"1", b"k"])
    play = kept() >> client(each) << to("a", by_text(4)) << to("b", by_text(4))
    play = play >> node("a", ":1") >> node("b", ":1") << to_client("*2 :1 :1")
    play = play >> client("MULTI", REQUEST, "EXEC") << to_client("+OK", "+QUEUED")
    play << to("a", "MULTI", by_text(6), "EXEC") << to("b", "MULTI", by_text(6), "EXEC")


def test_not_too_many() -> None:
    """The names that are remembered of a connection are bounded."""
    play = used()
    conn = play.connection("a")
    conn.kept_scripts = {b"%d" % number: True for number in range(MAX_SCRIPTS)}
    play = play >> client(REQUEST) << to("a", LOAD, by_text(3)) << to("b", LOAD, by_text(3))
    play << then(lambda play: conn.kept_scripts == {SCRIPT.digest: False})


def test_a_copy_that_is_slow_to_keep_it() -> None:
    """The answer is never late, and a connection that is lost answers nothing."""
    play = used() >> client(REQUEST) << to("a", LOAD, by_text(3)) << to("b", LOAD, by_text(3)) >> lost("a")
    play >> node("b", "+kept", ":1") << to_client(":1") << given(unheard)


@pytest.mark.parametrize(
    ("text", "makes"),
    [
        (b"return redis.call('expire', KEYS[1], 5)", False),
        (b"local r = redis.pcall('get', 'k') if r.err == 'x' then return r end -- error_reply", False),
        (b"local err = 5 return err", True),
        (b"return redis.error_reply(ARGV[1])", True),
        (b"return {err = ARGV[1]}", True),
        (b"local t = {} t.err = ARGV[1] return t", True),
        (b"local t = {} t['err'] = ARGV[1] return t", True),
        (b"local t = {} t[ [[err]] ] = ARGV[1] return t", True),
    ],
)
def test_errors_of_a_scripts_own(text: bytes, makes: bool) -> None:
    """One that says NOSCRIPT must not be taken for a copy's: the script has run."""
    assert may_make_errors(text) == makes


def test_a_script_that_makes_errors() -> None:
    """Its text is sent with every call."""
    text = b"redis.call('expire', KEYS[1], 5) return redis.error_reply('NOSCRIPT x')"
    play = story(copies("a", "b"))
    for _ in range(USES_BY_TEXT + 3):
        play = play >> client(encode_request([b"EVAL", text, b"1", b"k"]))
        assert all(b"EVAL\r\n" in one.raw for sent in play.sent.values() for one in sent)
        unheard(play)
        play = play >> node("a", "-NOSCRIPT x") >> node("b", "-NOSCRIPT x") << to_client("-NOSCRIPT x")
