"""Incidents: told at once, then folded; bounded, whatever is tried; and requests of web pages are none of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp.encode import encode_request
from kidoproxy.session.incidents import (
    FOLD_INTERVAL_MS,
    HTTP_REQUEST,
    LOGIN_FAILED,
    MAX_RECENT,
    Incidents,
    format_user,
    is_http_request,
    strip_port,
)
from kidoproxy.session.users import User, Users, password_digest
from tests.session.stage import heard, ring, say


def due_lines(incidents: Incidents, now_ms: int) -> list[str]:
    return [str(event) for event in incidents.take_due_events(now_ms)]


def test_the_first_is_told_at_once_and_the_rest_counted() -> None:
    """One line, then one line for all that came within the time, then it is forgotten."""
    incidents = Incidents()
    incidents.record(LOGIN_FAILED, "cache", b"alice", "10.0.0.1:5000")
    assert due_lines(incidents, 1000) == ["login failed: pool=cache user=alice addr=10.0.0.1 count=1"]
    for port in range(7):
        incidents.record(LOGIN_FAILED, "cache", b"alice", f"10.0.0.1:{port}")
    assert due_lines(incidents, 1000 + FOLD_INTERVAL_MS - 1) == []
    assert due_lines(incidents, 1000 + FOLD_INTERVAL_MS) == [
        "login failed: pool=cache user=alice addr=10.0.0.1 count=7"
    ]
    assert due_lines(incidents, 1000 + 2 * FOLD_INTERVAL_MS) == []
    assert incidents.recent_by_line == {}
    assert (incidents.total(LOGIN_FAILED, "cache"), incidents.total(HTTP_REQUEST, "cache")) == (8, 0)


def test_guessing_fills_neither_memory_nor_disk() -> None:
    """Beyond so many different names within the time, all others are one line."""
    incidents = Incidents()
    for number in range(10_000):
        incidents.record(LOGIN_FAILED, "cache", b"user%d" % number, "10.0.0.1:1")
    lines = due_lines(incidents, 0)
    assert len(lines) == MAX_RECENT + 1
    assert lines[-1] == f"login failed: pool=cache addr=(several) count={10_000 - MAX_RECENT}"
    assert incidents.total(LOGIN_FAILED, "cache") == 10_000


@given(st.binary(max_size=400))
def test_a_name_is_one_word_of_its_line(name: bytes) -> None:
    """Nobody forges another field, another line, or a long one."""
    incidents = Incidents()
    incidents.record(LOGIN_FAILED, "cache", name, "10.0.0.1:1")
    (event,) = incidents.take_due_events(0)
    line = str(event)
    assert event.fields == {"pool": "cache", "user": format_user(name), "addr": "10.0.0.1", "count": 1}
    assert line == f"login failed: pool=cache user={format_user(name)} addr=10.0.0.1 count=1"
    assert (line.count(" "), line.count("=")) == (5, 4)
    assert line.isprintable()
    assert len(line) < 140


@pytest.mark.parametrize(
    ("address", "shown"), [("10.0.0.1:5", "10.0.0.1"), ("[::1]:5", "[::1]"), ("/run/s:0", "/run/s"), ("x", "x")]
)
def test_host(address: str, shown: str) -> None:
    """Each connection has a port of its own, which says nothing."""
    assert strip_port(address) == shown


def test_a_refused_login_is_noted_with_user_and_address() -> None:
    """By AUTH with and without a name, and by HELLO; a right one is not."""
    stage = ring("a")
    stage.pool.users = Users([User(b"default", stage.pool.users.default.acl, True, False, [password_digest(b"pw")])])
    session = stage.client("10.1.1.1:9")
    say(session, "AUTH", "wrong")
    say(session, "AUTH", "bob", "wrong")
    say(session, "HELLO", "2", "AUTH", "eve", "wrong")
    assert say(session, "AUTH", "pw") == b"+OK\r\n"
    assert due_lines(stage.proxy.incidents, 0) == [
        f"login failed: pool=cache user={user} addr=10.1.1.1 count=1" for user in ("default", "bob", "eve")
    ]


WEB_LINES = [
    b"POST / HTTP/1.1\r\n",
    b"post x\r\n",
    b"Host: 127.0.0.1:6380\r\n",
    b"hOsT: x\r\n",
    b'"POST" /\r\n',
    encode_request([b"PoSt"]),
    encode_request([b"HOST:", b"x"]),
    encode_request([b"post\0x"]),
]


@pytest.mark.parametrize("line", WEB_LINES)
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\n", b"MULTI\r\n", b"CLIENT REPLY OFF\r\n"])
@pytest.mark.parametrize("password", [False, True])
def test_a_web_page_runs_nothing(line: bytes, before: bytes, password: bool) -> None:
    """What stands behind such a line is not even read, logged in or not; nothing is said to it."""
    stage = ring("a")
    stage.ready()
    if password:
        stage.pool.users = Users(
            [User(b"default", stage.pool.users.default.acl, True, False, [password_digest(b"pw")])]
        )
    session = stage.client("10.1.1.1:9")
    session.feed(before + line + b"\r\nSET pwned 1\r\n" + encode_request([b"SET", b"pwned", b"1"]))
    assert session.closing
    assert b"".join(stage.connection("a").take_output()) == b""
    assert heard(session).count(b"\r\n") <= before.count(b"\r\n")
    assert stage.proxy.incidents.total(HTTP_REQUEST, "cache") == 1
    session.feed(b"SET pwned 1\r\n")
    assert b"".join(stage.connection("a").take_output()) == b""


@pytest.mark.parametrize("name", [b"host", b"posts", b"host:x", b"GET", b"", b"p" * 5000])
def test_other_names_are_ordinary(name: bytes) -> None:
    """Only these two, whole."""
    assert not is_http_request(name)
