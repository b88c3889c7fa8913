"""What a sentinel is asked, what its words mean, and that it may say nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp.encode import array, bulk, encode_request
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.upstream.handshake import Login
from kidoproxy.upstream.sentinel_dialogue import MAX_REPLY_BYTES, NOT_A_SENTINEL, SentinelDialogue

ADDRESS = array([bulk(b"10.0.0.1"), bulk(b"6379")])


def confirmation(word: bytes, channel: bytes = b"+switch-master") -> bytes:
    return array([bulk(word), bulk(channel), b":1\r\n"])


def switch(text: bytes, channel: bytes = b"+switch-master") -> bytes:
    return array([bulk(b"message"), bulk(channel), bulk(text)])


def listening(password: str = "") -> SentinelDialogue:
    """One that has been answered, and subscribes."""
    dialogue = SentinelDialogue(b"mymaster", Login("", password))
    dialogue.greeting()
    dialogue.feed((b"+OK\r\n" if password else b"") + ADDRESS + confirmation(b"subscribe"))
    assert dialogue.is_answered()
    return dialogue


@pytest.mark.parametrize(
    ("login", "first"),
    [(Login("", ""), []), (Login("", "pw"), ["AUTH pw"]), (Login("me", "pw"), ["AUTH me pw"])],
)
def test_what_is_said_first(login: Login, first: list[str]) -> None:
    """Log in, ask, and listen, in one write."""
    rows = [*first, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "SUBSCRIBE +switch-master"]

    assert SentinelDialogue(b"mymaster", login).greeting() == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in rows]
    )


def test_a_question_and_its_answer() -> None:
    """One at a time; a message may come before the answer to it."""
    dialogue = listening("pw")
    assert dialogue.question() == b"".join(
        [
            encode_request(row.split())
            for row in (
                b"UNSUBSCRIBE +switch-master",
                b"SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
                b"SUBSCRIBE +switch-master",
            )
        ]
    )
    assert dialogue.question() == b""
    (news,) = dialogue.feed(switch(b"mymaster 10.0.0.1 6379 10.0.0.2 7000"))
    assert (str(news.master), news.is_news) == ("10.0.0.2:7000", True)
    (word,) = dialogue.feed(confirmation(b"unsubscribe") + ADDRESS)
    assert (str(word.master), word.is_news, dialogue.is_answered()) == ("10.0.0.1:6379", False, False)
    assert dialogue.feed(confirmation(b"subscribe")) == []
    assert dialogue.is_answered()


def test_no_such_master() -> None:
    """A sentinel that knows no master of this name says null, in one word or another."""
    dialogue = SentinelDialogue(b"mymaster", Login("", ""))
    dialogue.greeting()
    (word,) = dialogue.feed(b"*-1\r\n")
    assert word.master is None


def test_another_master_of_the_same_sentinels() -> None:
    """Its failovers are nobody's business here."""
    assert listening().feed(switch(b"other 10.0.0.1 6379 10.0.0.2 7000")) == []


@pytest.mark.parametrize(
    "said",
    [
        b"+OK\r\n",
        ADDRESS,
        confirmation(b"subscribe"),
        switch(b"mymaster 10.0.0.1 6379 10.0.0.2"),
        switch(b"mymaster 10.0.0.1 6379 10.0.0.2 70000"),
        switch(b"mymaster 10.0.0.1 6379 10.0.0.2 7000", b"+odown"),
        b"*-1\r\n",
        b"$5\r\nhello\r\n",
        bulk(b"x" * 2 * MAX_REPLY_BYTES),
        b"$9999999\r\n" + b"x" * 2 * MAX_REPLY_BYTES,
        array([bulk(b"x")] * MAX_REPLY_BYTES),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_anything_else_ends_it(said: bytes) -> None:
    """What nobody asked for, or cannot be an answer: this is no sentinel, or none to be believed."""
    with pytest.raises(ProtocolError):
        listening().feed(said)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (array([bulk(b"10.0.0.1"), bulk(b"x")]), NOT_A_SENTINEL),
        (array([bulk(b"10.0.0.1")]), NOT_A_SENTINEL),
        (array([b":1\r\n", ADDRESS]), NOT_A_SENTINEL),
        (b"+OK\r\n", NOT_A_SENTINEL),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH Authentication required."),
        (b"-ERR unknown command 'SENTINEL', with args beginning with: 'x'\r\n", "ERR unknown command 'SENTINEL'"),
    ],
)
def test_answers_that_are_none(said: bytes, cause: str) -> None:
    """In the sentinel's own words where it has any."""
    dialogue = SentinelDialogue(b"mymaster", Login("", ""))
    dialogue.greeting()
    with pytest.raises(ProtocolError) as caught:
        dialogue.feed(said)
    assert str(caught.value) == cause


def test_a_login_that_is_refused_shows_no_password() -> None:
    """A server that does not know AUTH repeats what it was told."""
    dialogue = SentinelDialogue(b"mymaster", Login("", "s3cret"))
    dialogue.greeting()
    with pytest.raises(ProtocolError) as caught:
        dialogue.feed(b"-ERR what is s3cret?\r\n")
    assert str(caught.value) == "ERR what is ***?"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(data: bytes, asked: bool) -> None:
    """Words about this master, nothing, or the end."""
    dialogue = listening()
    if asked:
        dialogue.question()
    try:
        found = dialogue.feed(data)
    except ProtocolError:
        return
    assert all(word.master is None or word.master.port > 0 for word in found)


@given(st.lists(st.integers(1, 30), max_size=20))
def test_any_pieces(sizes: list[int]) -> None:
    """However the bytes are cut, the words are the same."""
    data = confirmation(b"unsubscribe") + ADDRESS + confirmation(b"subscribe")
    data += switch(b"mymaster 10.0.0.1 6379 10.0.0.2 7000")
    dialogue = listening()
    dialogue.question()
    found: list[str] = []
    for size in [*sizes, len(data)]:
        found += [str(word.master) for word in dialogue.feed(data[:size])]
        data = data[size:]
    assert found == ["10.0.0.1:6379", "10.0.0.2:7000"]
