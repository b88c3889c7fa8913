"""Looking into raw replies."""

import pytest

from kidoproxy.resp import decode as look
from kidoproxy.resp.errors import Bug

ATTRIBUTES = b"|1\r\n+ttl\r\n*2\r\n:1\r\n$2\r\n|\r\r\n|0\r\n"

NULLS = [b"$-1\r\n", b"*-1\r\n", b"_\r\n"]


@pytest.mark.parametrize("front", [b"", ATTRIBUTES])
class TestBehindAttributes:
    """Attributes in front change nothing of what a value is."""

    @pytest.mark.parametrize("first", b"+-:$*_#,(!=%~>")
    def test_kind(self, front: bytes, first: int) -> None:
        """The type is the first byte of the value, not of its attributes."""
        assert look.type_byte(front + bytes([first]) + b"0\r\n") == first

    @pytest.mark.parametrize(("raw", "text"), [(b"-ERR no\r\n", b"ERR no"), (b"!6\r\nERR no\r\n", b"ERR no")])
    def test_errors(self, front: bytes, raw: bytes, text: bytes) -> None:
        """Both forms of error are errors, with the same text."""
        assert look.is_error(front + raw)
        assert look.error_text(front + raw) == text

    @pytest.mark.parametrize("raw", [b"+-ERR\r\n", b"$4\r\n-ERR\r\n", b"*1\r\n-ERR\r\n", *NULLS])
    def test_no_errors(self, front: bytes, raw: bytes) -> None:
        """What only looks like an error is none."""
        assert not look.is_error(front + raw)

    @pytest.mark.parametrize("raw", NULLS)
    def test_nulls(self, front: bytes, raw: bytes) -> None:
        """The three nulls are null: no items, no bytes."""
        assert look.is_null(front + raw)
        assert look.items(front + raw) == []
        assert look.string_value(front + raw) == b""

    @pytest.mark.parametrize("raw", [b"$0\r\n\r\n", b"*0\r\n", b":-1\r\n", b"+\r\n", b"#f\r\n"])
    def test_no_nulls(self, front: bytes, raw: bytes) -> None:
        """Empty, false and negative are not null."""
        assert not look.is_null(front + raw)

    @pytest.mark.parametrize(
        ("raw", "value"), [(b":0\r\n", 0), (b":-9223372036854775808\r\n", -(2**63)), (b"#t\r\n", 1), (b"#f\r\n", 0)]
    )
    def test_integer(self, front: bytes, raw: bytes, value: int) -> None:
        """Integers, and RESP3's booleans where RESP2 has integers."""
        assert look.integer_value(front + raw) == value

    @pytest.mark.parametrize(
        ("raw", "payload"),
        [
            (b"$0\r\n\r\n", b""),
            (b"$3\r\na\r\n\r\n", b"a\r\n"),
            (b"+OK\r\n", b"OK"),
            (b"=8\r\ntxt:four\r\n", b"four"),
            (b":12\r\n", b"12"),
            (b",1.5\r\n", b"1.5"),
            (b"(12\r\n", b"12"),
        ],
    )
    def test_bulk(self, front: bytes, raw: bytes, payload: bytes) -> None:
        """The payload of any string, binary safe; the text of a number."""
        assert look.string_value(front + raw) == payload

    @pytest.mark.parametrize(
        ("raw", "items"),
        [
            (b"*0\r\n", []),
            (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", [b"$1\r\na\r\n", b"*1\r\n:1\r\n"]),
            (b"~1\r\n+a\r\n", [b"+a\r\n"]),
            (b">1\r\n+a\r\n", [b"+a\r\n"]),
            (b"%1\r\n+a\r\n%1\r\n+b\r\n:1\r\n", [b"+a\r\n", b"%1\r\n+b\r\n:1\r\n"]),
            (b"*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n_\r\n", [b"|1\r\n+a\r\n+b\r\n:1\r\n", b"_\r\n"]),
        ],
    )
    def test_items(self, front: bytes, raw: bytes, items: list[bytes]) -> None:
        """Items come out raw, with the attributes that are theirs; a map as key, value, key, value."""
        assert look.items(front + raw) == items


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b">3\r\n$7\r\nmessage\r\n$3\r\na\r\n\r\n$1\r\nx\r\n", [b"message", b"a\r\n"]),
        (b">2\r\n$0\r\n\r\n*0\r\n", [b""]),
        (b"*3\r\n$2\r\nab\r\n$-1\r\n:0\r\n", [b"ab"]),
        (b">1\r\n:1\r\n", []),
        (b"*0\r\n", []),
    ],
)
def test_the_first_words(raw: bytes, words: list[bytes]) -> None:
    """The first words of a push, as far as they are words; a large message behind them is not looked at."""
    assert look.first_bulks(raw, 2) == words


def test_the_wrong_question_is_our_bug() -> None:
    """Asking a value for what its type does not have is a bug of the caller, never a wrong answer."""
    with pytest.raises(Bug, match="not an integer"):
        look.integer_value(b"$1\r\n1\r\n")
    with pytest.raises(Bug, match="not a string"):
        look.string_value(b"*0\r\n")
    with pytest.raises(Bug, match="not an aggregate"):
        look.items(b"+OK\r\n")
    with pytest.raises(Bug, match="not an error"):
        look.error_text(b"+OK\r\n")
