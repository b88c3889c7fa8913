"""Functions of libraries that depend on time, order or place, on copies of two kinds of server: as by one Redis.

Each script of the corpus is the body of a function; copies run it as a script where it needs a prologue.
"""

from typing import Any, Final

import pytest
import redis

from tests.live.asking import replies
from tests.live.proxies import RunningProxy
from tests.live.script_corpus import SAME
from tests.live.test_interposed_scripts import check_alike, fill, held, other, pair, straight
from tests.wait import eventually

__all__ = ["other", "pair", "straight"]

pytestmark = pytest.mark.live

LOAD: Final = "#!lua name=lib\n{before}redis.register_function('Put', function(KEYS, ARGV)\n{body}\nend)"


def load(url: str, code: str) -> bytes:
    """FUNCTION LOAD of it."""
    return replies(url, [[b"FUNCTION", b"LOAD", b"REPLACE", code.encode()]])[0]


def request(name: str, keys: str, args: str) -> list[bytes]:
    """FCALL of it."""
    words = keys.split()
    return [word.encode() for word in ("FCALL", name, str(len(words)), *words, *args.split())]


BODIES: Final = [row for row in SAME if not row[0].startswith("#!")]


@pytest.mark.parametrize(("text", "keys", "args"), BODIES)
def test_functions_do_what_they_do_on_one_server(
    pair: RunningProxy, straight: list[str], text: str, keys: str, args: str
) -> None:
    """Replies, errors with their lines, and all that is written, alone and in a transaction."""
    code = LOAD.format(before="", body=text)
    assert {load(url, code) for url in (pair.url, *straight)} == {b"$3\r\nlib\r\n"}
    call = request("put", keys, args)
    for pending, at in (([call], 0), ([[b"MULTI"], call, [b"INCR", b"after"], [b"EXEC"]], 3)):
        for url in (pair.url, *straight):
            fill(url)
        assert replies(pair.url, pending)[at] in [replies(url, pending)[at] for url in straight]
        first, second = (held(url) for url in pair.urls)
        assert first == second
        check_alike(first, straight[0])


FAILING: Final = "redis.call('expire', KEYS[1], 100)\nlocal r = {}\nreturn r"


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("local function helper(k)\nlocal x = redis.call('lpush', k, 1)\nreturn x end\n", "helper(KEYS[1])"),
        ("local M = {}\nfunction M.help(k)\nreturn #redis.call('get', k) end\n", "M.help(KEYS[1])"),
        ("local LIMITS = {low = 1, 5}\n", "LIMITS.low + LIMITS[1] + #LIMITS"),
        ("local register = redis.register_function\nregister('other', function() end)\n", "redis.call('ttl', KEYS[1])"),
        ("", "redis.call('lpush', KEYS[1], 1)"),
        ("", "KEYS[1].x.y"),
        ("", "error({err = 'MY own'})"),
        ("", "redis.error_reply('MY own')"),
        ("", "(...)"),
    ],
)
def test_libraries(pair: RunningProxy, straight: list[str], before: str, body: str) -> None:
    """What a library has beside its functions is there for them; an error names its line in the library."""
    code = LOAD.format(before=before, body=FAILING.replace("{}", body))
    assert len({load(url, code) for url in (pair.url, *straight)}) == 1
    for url in (pair.url, *straight):
        fill(url)
    call = request("PUT", "s", "a")
    assert replies(pair.url, [call])[0] in [replies(url, [call])[0] for url in straight]
    assert held(pair.urls[0]) == held(pair.urls[1])


@pytest.mark.parametrize("flags", ["", "'no-writes'", "'allow-oom'", "'allow-stale', 'no-cluster'"])
@pytest.mark.parametrize("name", ["FCALL", "FCALL_RO"])
def test_flags(pair: RunningProxy, straight: list[str], flags: str, name: str) -> None:
    """A function that says that it does not write does not; one that does not say it is no FCALL_RO."""
    code = "#!lua name=lib\nredis.register_function{function_name='f', flags={FLAGS}, callback=function(keys)\n"
    code = code.replace("FLAGS", flags) + "return redis.call('expire', keys[1], 100) end}"
    assert len({load(url, code) for url in (pair.url, *straight)}) == 1
    for url in (pair.url, *straight):
        fill(url)
    call = [name.encode(), b"f", b"1", b"s"]
    assert replies(pair.url, [call])[0] in [replies(url, [call])[0] for url in straight]
    assert held(pair.urls[0]) == held(pair.urls[1])


def test_a_library_that_is_replaced(pair: RunningProxy) -> None:
    """What is sent behind FUNCTION LOAD, in one batch, is done by the new functions."""
    body = "redis.call('expire', KEYS[1], 100) return {}"
    found = replies(
        pair.url,
        [
            request_
            for number in range(1, 4)
            for request_ in (
                [
                    b"FUNCTION",
                    b"LOAD",
                    b"REPLACE",
                    LOAD.format(before="", body=body.replace("{}", str(number))).encode(),
                ],
                request("Put", "k", ""),
            )
        ],
    )
    assert found[1:6:2] == [b":1\r\n", b":2\r\n", b":3\r\n"]


def test_each_subscriber_hears_it_once(pair: RunningProxy) -> None:
    """PUBLISH in a function reaches each subscriber once."""
    load(pair.url, LOAD.format(before="", body="redis.call('incr', 'n') return redis.call('publish', 'news', ARGV[1])"))
    client = pair.client(3)
    listener: Any = client.pubsub()
    listener.subscribe("news")
    assert listener.get_message(timeout=20)["type"] == "subscribe"
    assert client.fcall("Put", 0, "one") == 0
    client.publish("news", "two")
    heard = []
    while b"two" not in heard:
        message = listener.get_message(timeout=20)
        if message and message["type"] == "message":
            heard.append(message["data"])
    assert heard == [b"one", b"two"]


def test_a_library_that_is_gone(pair: RunningProxy) -> None:
    """What was deleted is not run any more."""
    client = pair.client(3)
    load(pair.url, LOAD.format(before="", body="redis.call('expire', KEYS[1], 100) return 1"))
    assert client.fcall("Put", 1, "k") == 1
    client.function_delete("lib")
    with pytest.raises(redis.ResponseError):
        client.fcall("Put", 1, "k")


def test_libraries_that_were_there_before(pair: RunningProxy) -> None:
    """A proxy that is started anew, and one that a library is loaded past, asks a copy."""
    body = "redis.call('expire', KEYS[1], 100) return redis.call('ttl', KEYS[1])"
    load(pair.url, LOAD.format(before="", body=body))
    pair.restart_proxy()
    client = pair.client(3)
    client.set("k", 1)
    assert client.fcall("Put", 1, "k") == 100
    with pytest.raises(redis.ResponseError, match="Function not found"):
        client.fcall("nosuch", 1, "k")
    for url in pair.urls:
        load(url, LOAD.format(before="", body=body).replace("Put", "late").replace("lib", "more"))
    eventually(lambda: called(client, "late") == 100)
    assert held(pair.urls[0]) == held(pair.urls[1])


def called(client: Any, name: str) -> int:
    """What the function says; -1 if there is none yet."""
    try:
        return int(client.fcall(name, 1, "k"))
    except redis.ResponseError:
        return -1
