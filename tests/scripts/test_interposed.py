"""What copies run in place of a script, and how the client reads of it. The dialogue is one with two copies."""

import hashlib

from kidoproxy.resp.encode import encode_request
from kidoproxy.scripts.interposed import InterposedScript
from tests.story import WALL_MS, client, copies, node, story, to, to_client

TEXT = b"return redis.call('expire', KEYS[1], 5)"


def test_digests() -> None:
    """That of the text which runs, and that of the text which the client has sent."""
    script = InterposedScript(TEXT, ["EXPIRE"])
    for digest, text in zip(script.digests, (script.text, TEXT), strict=True):
        assert digest.decode() == hashlib.sha1(text, usedforsecurity=False).hexdigest()
    assert not script.publishes
    assert InterposedScript(TEXT, ["SET", "PUBLISH"]).publishes


def test_errors_name_the_script_that_was_sent() -> None:
    """An error, and each error of a list, has the digest that the client knows; other replies are left alone."""
    script = InterposedScript(TEXT, ["EXPIRE"])
    request = encode_request([b"EVAL", TEXT, b"1", b"k"])
    play = story(copies("a", "b"))
    sent, shown = (f"-ERR no script: {digest.decode()}, on @user_script:1." for digest in script.digests)
    for clock, (said, heard) in enumerate([(sent, shown), (":1", ":1"), ("$40 " + sent[16:56], "$40 " + sent[16:56])]):
        run = encode_request([b"EVAL", script.text, b"1", b"k", b"0%d" % (WALL_MS * 1000 + 10 * clock)])
        said_raw, heard_raw = ((words + "\r\n").replace("$40 ", "$40\r\n").encode() for words in (said, heard))
        play = play >> client(request) << to("a", run) << to("b", run)
        assert play >> node("a", said_raw) >> node("b", said_raw) << to_client(heard_raw)
