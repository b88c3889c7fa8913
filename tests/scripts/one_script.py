"""One script, what is said about it, and how a pool comes to know it: for the stories of scripts."""

import hashlib

from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from tests.story import Pool, Story, client, node, story, to, to_client

TEXT = b"return 1"
DIGEST = hashlib.sha1(TEXT).hexdigest()
LOAD = encode_request([b"SCRIPT", b"LOAD", TEXT])
EVAL = encode_request([b"EVAL", TEXT, b"1", b"{a}k"])
NOSCRIPT = errors.NOSCRIPT
#: What a peer is asked before a node is warmed up.
LIST = "FUNCTION LIST WITHCODE"
SAID = f"$40 {DIGEST}"


def sha(key: str = "{a}k", name: str = "EVALSHA") -> str:
    """A request for the script."""
    return f"{name} {DIGEST} 1 {key}"


def knowing(pool: Pool) -> Story:
    """The proxy has seen the text, which ``a`` was asked to run; connections are made."""
    play = story(pool) >> client(EVAL) << to("a", EVAL)
    return play >> node("a", ":1") << to_client(":1")


def carried(pool: Pool) -> Story:
    """The connection to ``a`` has carried the text already."""
    play = knowing(pool)
    return play >> client(sha()) << to("a", LOAD, sha()) >> node("a", SAID, ":1") << to_client(":1")
