"""What copies run in place of a script or a function, and how the client reads of it. Dialogues with two copies."""

import hashlib

import pytest

from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.scripts.interposed import ShownErrors, interposed_function, interposed_script
from tests.story import WALL_MS, Story, client, copies, given, node, story, to, to_client, unheard

TEXT = b"return redis.call('expire', KEYS[1], 5)"
CODE = b"""#!lua name=lib
redis.register_function('Put', function(keys, args) return redis.call('expire', keys[1], 5) end)
redis.register_function('get', function(keys, args) return redis.call('get', keys[1]) end)"""
PUT = interposed_function(CODE, b"Put", [], ["EXPIRE"])


def test_digests() -> None:
    """That of the text which runs, and that of the text which the client has sent."""
    script = interposed_script(TEXT, ["EXPIRE"])
    for digest, text in zip(script.shown[0], (script.text, TEXT), strict=True):
        assert digest.decode() == hashlib.sha1(text, usedforsecurity=False).hexdigest()
    assert not script.publishes
    assert interposed_script(TEXT, ["SET", "PUBLISH"]).publishes


def test_errors_name_the_script_that_was_sent() -> None:
    """An error has the digest that the client knows; other replies are left alone."""
    script = interposed_script(TEXT, ["EXPIRE"])
    request = encode_request([b"EVAL", TEXT, b"1", b"k"])
    play = story(copies("a", "b"))
    sent, shown = (f"-ERR no script: {digest.decode()}, on @user_script:1." for digest in script.shown[0])
    for clock, (said, heard) in enumerate([(sent, shown), (":1", ":1"), ("$40 " + sent[16:56], "$40 " + sent[16:56])]):
        run = encode_request([b"EVAL", script.text, b"1", b"k", b"0%d" % (WALL_MS * 1000 + 10 * clock)])
        said_raw, heard_raw = ((words + "\r\n").replace("$40 ", "$40\r\n").encode() for words in (said, heard))
        play = play >> client(request) << to("a", run) << to("b", run)
        assert play >> node("a", said_raw) >> node("b", said_raw) << to_client(heard_raw)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"-ERR x script: %b, on @user_script:2.\r\n", b"-ERR x script: Put, on @user_function:2.\r\n"),
        (
            b"-ERR user_script:2: no script: on @user_script:2.\r\n",
            b"-ERR user_function:2: no script: on @user_function:2.\r\n",
        ),
        (b"*2\r\n-ERR %b, @user_script:2.\r\n:1\r\n", b"*2\r\n-ERR Put, @user_function:2.\r\n:1\r\n"),
        (b"*1\r\n$40\r\n%b\r\n", None),
        (b"*1\r\n$12\r\nuser_script:\r\n", None),
        (b"$12\r\nuser_script:\r\n", None),
    ],
)  # fmt: skip
def test_errors_name_the_function(said: bytes, heard: bytes | None) -> None:
    """In errors, alone or in a list of all copies' replies, and in nothing else: a string keeps its length."""
    found: list[bytes] = []
    said = said.replace(b"%b", PUT.shown[0][0])
    ShownErrors(CallbackHandler(found.append, lambda failure: None), PUT.shown).on_reply(said)
    assert found == [said if heard is None else heard]


def loaded() -> Story:
    """The library has been loaded through a pool of two copies."""
    load = encode_request([b"FUNCTION", b"LOAD", b"REPLACE", CODE])
    play = story(copies("a", "b")) >> client(load) << to("a", load) << to("b", load)
    return play >> node("a", "$3 lib") >> node("b", "$3 lib") << to_client("$3 lib")


def run(clock: int, *words: bytes) -> bytes:
    """The function as copies run it."""
    return encode_request([b"EVAL", PUT.text, *words, b"0%d" % (WALL_MS * 1000 + 10 * clock)])


def test_a_function_is_run_as_a_script() -> None:
    """With the clock behind its arguments, whatever the letter case of its name; what needs no prologue is a FCALL."""
    (
        loaded()
        >> client("FCALL PUT 1 k a") << to("a", run(0, b"1", b"k", b"a")) << to("b", run(0, b"1", b"k", b"a"))
        >> node("a", ":1") >> node("b", ":1") << to_client(":1")
        >> client("FCALL put 0") << to("a", run(1, b"0")) << to("b", run(1, b"0"))
        >> node("a", f"-ERR no script: {PUT.shown[0][0].decode()}, on @user_script:2.")
        >> node("b", f"-ERR no script: {PUT.shown[0][0].decode()}, on @user_script:2.")
        << to_client("-ERR no script: Put, on @user_function:2.")
    )  # fmt: skip


def test_in_a_transaction() -> None:
    """So it is there; when it is queued a moment goes by."""
    sent: list[str | bytes] = ["MULTI", run(1, b"1", b"k"), "EXEC"]
    play = loaded() >> client("MULTI", "FCALL Put 1 k", "EXEC") << to_client("+OK", "+QUEUED")
    play << to("a", *sent) << to("b", *sent)
    assert play >> node("a", "+OK", "+QUEUED", "*1 :1") >> node("b", "+OK", "+QUEUED", "*1 :1") << to_client("*1 :1")


def test_not_run() -> None:
    """What no server would run is the leader's to refuse: one argument more must not make it right."""
    for words in ("FCALL Put 2 k", "FCALL Put x k", "FCALL Put -1 k"):
        play = loaded() >> client(words) << given(unheard)
        for sent in play.sent.values():
            assert not any(b"EVAL" in one.raw for one in sent)
            sent.clear()
