"""A node's secrets never reach a client, on whatever way it asks; everything else reaches it unchanged."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kidoproxy.commands.find import all_specs
from kidoproxy.commands.spec import SECRETS_NONE, SECRETS_OF_LOGINS, SECRETS_OF_MODULES, SECRETS_OF_SETTINGS
from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as text_of
from kidoproxy.resp.encode import array, bulk, integer, mapping
from kidoproxy.session import redact
from tests.session.stage import InMemoryProxy, asked, copies, heard, ring, say
from tests.strategies import replies

SECRET = b"s3cret"
SECRETS = [
    *[b"requirepass", b"masterauth", b"masteruser", b"primaryauth", b"primaryuser", b"MasterAuth"],
    *[b"tls-key-file-pass", b"tls-client-key-file-pass", b"user", b"some-module.password", b"aclfile"],
]
OPEN = [b"maxmemory", b"tls-auth-clients", b"save", b"acl-pubsub-default", b"bind", b"port", b"auth-mode"]


def flat(names: list[bytes], value: bytes) -> list[bytes]:
    return [part for name in names for part in (bulk(name), bulk(value))]


@pytest.mark.parametrize("proto", [2, 3])
def test_settings(proto: int) -> None:
    """What is secret is left out, by name, in the list of RESP2 and in the map of RESP3."""
    said = mapping(proto, flat(SECRETS[:3], SECRET) + flat(OPEN, b"yes") + flat(SECRETS[3:], SECRET))
    assert redact.redact_reply(SECRETS_OF_SETTINGS, said) == mapping(proto, flat(OPEN, b"yes"))


@pytest.mark.parametrize("name", ["auth", "HELLO", "Migrate", "acl", "CONFIG"])
def test_slow_logs(name: str) -> None:
    """The arguments of what may hold a login are hidden; the rest of the log is as it was."""
    other = array([integer(1), integer(2), integer(3), array([bulk(b"get"), bulk(b"k")]), bulk(b"a:1"), bulk(b"")])
    words = [bulk(name.encode()), bulk(SECRET), bulk(b"AUTH"), bulk(SECRET)]
    login = array([integer(1), integer(2), integer(3), array(words), bulk(b"a:1"), bulk(b"")])
    shown = redact.redact_reply(SECRETS_OF_LOGINS, array([other, login]))
    assert items(shown)[0] == other
    assert SECRET not in shown
    assert [text_of(word) for word in items(items(items(shown)[1])[3])] == [name.encode(), b"(redacted)"]


@pytest.mark.parametrize("proto", [2, 3])
def test_modules(proto: int) -> None:
    """What a module was loaded with is hidden."""
    fields = [bulk(b"name"), bulk(b"x"), bulk(b"ver"), integer(1), bulk(b"args"), array([bulk(SECRET)])]
    shown = redact.redact_reply(SECRETS_OF_MODULES, array([mapping(proto, fields)]))
    assert shown == array([mapping(proto, [*fields[:5], array([])])])


@pytest.mark.parametrize("secrets", [SECRETS_OF_MODULES, SECRETS_OF_LOGINS])
def test_what_is_no_record_stays(secrets: int) -> None:
    """An element of a shape that these commands do not have is passed on as it is."""
    said = array([integer(1), bulk(b"odd"), array([]), array([integer(1)])])
    assert redact.redact_reply(secrets, said) == said


MONITORED = [
    (b'+1.5 [0 127.0.0.1:60866] "auth" "s3cret"\r\n', b'+1.5 [0 127.0.0.1:60866] "auth" "(redacted)"\r\n'),
    (b'+1.5 [0 [::1]:60866] "HELLO" "3" "AUTH" "u" "s3cret"\r\n', b'+1.5 [0 [::1]:60866] "HELLO" "(redacted)"\r\n'),
    (b'+1.5 [0 unix:/s] "acl" "setuser" "a" ">s3cret"\r\n', b'+1.5 [0 unix:/s] "acl" "(redacted)"\r\n'),
    (b'+1.5 [0 127.0.0.1:6] "get" "auth"\r\n', b'+1.5 [0 127.0.0.1:6] "get" "auth"\r\n'),
    (b'+1.5 [0 lua] "set" "k" "] \\"auth\\""\r\n', b'+1.5 [0 lua] "set" "k" "] \\"auth\\""\r\n'),
    (b"+OK\r\n", b"+OK\r\n"),
    (b"+1.5 [0 a] \r\n", b"+1.5 [0 a] \r\n"),
]


@pytest.mark.parametrize(("said", "shown"), MONITORED)
def test_monitor(said: bytes, shown: bytes) -> None:
    """How somebody logged in is hidden; a line that only speaks of it is not."""
    assert redact.redact_monitor_line(said) == shown


@given(st.sampled_from([SECRETS_OF_SETTINGS, SECRETS_OF_LOGINS, SECRETS_OF_MODULES]), replies())
@example(SECRETS_OF_MODULES, b"+OK\r\n")
def test_any_reply_is_looked_through(secrets: int, raw: bytes) -> None:
    """Nodes may say anything; what has not the shape of an answer is passed on."""
    shown = redact.redact_reply(secrets, raw)
    assert shown[-2:] == b"\r\n"
    assert shown == raw or raw[:1] in b"*%~|"


def test_who_is_corrected() -> None:
    """The four that tell, and what counts subscribers."""
    corrected = {spec.name for spec in all_specs() if redact.has_client_view(spec)}
    revealing = {spec.name for spec in all_specs() if spec.secrets != SECRETS_NONE}
    assert revealing == {b"config|get", b"slowlog|get", b"commandlog|get", b"module|list"}
    assert revealing <= corrected
    assert b"publish" in corrected
    assert b"get" not in corrected


SAID = mapping(2, flat([b"maxmemory", b"requirepass"], SECRET))
SHOWN = mapping(2, flat([b"maxmemory"], SECRET))
GET = ["CONFIG", "GET", "*"]


def test_every_way_to_ask_a_ring() -> None:
    """Directly, by PROXY NODE, by PROXY EACH, in LIST mode, and in a transaction whose reply is its node's own."""
    stage = ring("a")
    stage.ready()
    conn = stage.connection("a")
    session = stage.client()
    for words, shown in (
        (GET, SHOWN),
        (["PROXY", "NODE", "a", *GET], SHOWN),
        (["PROXY", "EACH", *GET], array([SHOWN])),
    ):
        assert say(session, *words) == b""
        asked(conn)
        conn.feed(SAID, 0.0)
        assert heard(session) == shown
    say(session, "PROXY", "REPLIES", "LIST")
    say(session, *GET)
    conn.feed(SAID, 0.0)
    assert heard(session) == array([SHOWN])
    say(session, "PROXY", "REPLIES", "MERGED")
    for word in (["MULTI"], GET, ["GET", "k"], ["EXEC"]):
        say(session, *word)
    conn.feed(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n" + array([SAID, bulk(b"v")]), 0.0)
    assert heard(session) == array([SHOWN, bulk(b"v")])


def test_a_large_reply_does_not_slip_through_in_pieces() -> None:
    """It is looked through when it is whole."""
    stage = ring("a")
    stage.ready()
    conn = stage.connection("a")
    session = stage.client()
    say(session, *GET)
    large = mapping(2, [bulk(b"requirepass"), bulk(SECRET), bulk(b"x"), bulk(b"y" * 100_000)])
    conn.feed(large[:90_000], 0.0)
    assert heard(session) == b""
    conn.feed(large[90_000:], 0.0)
    assert heard(session) == mapping(2, [bulk(b"x"), bulk(b"y" * 100_000)])


@pytest.mark.parametrize("stage", [ring("a"), copies("a")], ids=["ring", "copies"])
@pytest.mark.parametrize("sub", ["LIST", "USERS", "LOG"])
def test_the_users_of_a_node_are_asked_of_no_node(stage: InMemoryProxy, sub: str) -> None:
    """PROXY NODE refuses, and what is asked of each is answered here."""
    stage.ready()
    session = stage.client()
    assert say(session, "PROXY", "NODE", "a", "ACL", sub).startswith(b"-ERR 'acl|")
    assert say(session, "PROXY", "NODE", "a", "ACL", "GETUSER", "default").startswith(b"-ERR 'acl|getuser'")
    assert say(session, "PROXY", "EACH", "ACL", sub)[:1] == b"*"
    assert asked(stage.connection("a")) == b""
