"""`kidoproxy.resp.decode`: parts of raw replies."""

import pytest

from kidoproxy.resp import decode
from kidoproxy.resp.errors import InternalError

ATTRIBUTES = b"|1\r\n+ttl\r\n*2\r\n:1\r\n$2\r\n|\r\r\n|0\r\n"

NULLS = [b"$-1\r\n", b"*-1\r\n", b"_\r\n"]


@pytest.mark.parametrize("front", [b"", ATTRIBUTES])
class TestAttributesInFront:
    """Attributes in front of a value change nothing of it."""

    @pytest.mark.parametrize("first", b"+-:$*_#,(!=%~>")
    def test_type_byte(self, front: bytes, first: int) -> None:
        """The type byte is that of the value, not of its attributes."""
        assert decode.type_byte(front + bytes([first]) + b"0\r\n") == first

    @pytest.mark.parametrize(("raw", "text"), [(b"-ERR no\r\n", b"ERR no"), (b"!6\r\nERR no\r\n", b"ERR no")])
    def test_errors(self, front: bytes, raw: bytes, text: bytes) -> None:
        """Both types of error are errors, with the same text."""
        assert decode.is_error(front + raw)
        assert decode.error_text(front + raw) == text

    @pytest.mark.parametrize("raw", [b"+-ERR\r\n", b"$4\r\n-ERR\r\n", b"*1\r\n-ERR\r\n", *NULLS])
    def test_no_errors(self, front: bytes, raw: bytes) -> None:
        """A string that looks like an error is none, nor is an array that holds one."""
        assert not decode.is_error(front + raw)

    @pytest.mark.parametrize("raw", NULLS)
    def test_nulls(self, front: bytes, raw: bytes) -> None:
        """The three nulls are null, without items and without bytes."""
        assert decode.is_null(front + raw)
        assert decode.items(front + raw) == []
        assert decode.string_value(front + raw) == b""

    @pytest.mark.parametrize("raw", [b"$0\r\n\r\n", b"*0\r\n", b":-1\r\n", b"+\r\n", b"#f\r\n"])
    def test_no_nulls(self, front: bytes, raw: bytes) -> None:
        """Empty, false and negative are not null."""
        assert not decode.is_null(front + raw)

    @pytest.mark.parametrize(
        ("raw", "value"), [(b":0\r\n", 0), (b":-9223372036854775808\r\n", -(2**63)), (b"#t\r\n", 1), (b"#f\r\n", 0)]
    )
    def test_integer_value(self, front: bytes, raw: bytes, value: int) -> None:
        """Integers, and RESP3's booleans where RESP2 has integers."""
        assert decode.integer_value(front + raw) == value

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
    def test_string_value(self, front: bytes, raw: bytes, payload: bytes) -> None:
        """The payload of any string, binary safe; the text of a number."""
        assert decode.string_value(front + raw) == payload

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
        """Items stay raw, with their own attributes; a map gives keys and values in turn."""
        assert decode.items(front + raw) == items


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
def test_first_bulks(raw: bytes, words: list[bytes]) -> None:
    """The leading bulk strings, up to the first item of another type; what is behind them is not parsed."""
    assert decode.first_bulks(raw, 2) == words


def test_a_wrong_type_is_a_bug() -> None:
    """A value of another type is a bug of the caller, never a wrong result."""
    with pytest.raises(InternalError, match="not an integer"):
        decode.integer_value(b"$1\r\n1\r\n")
    with pytest.raises(InternalError, match="not a string"):
        decode.string_value(b"*0\r\n")
    with pytest.raises(InternalError, match="not an aggregate"):
        decode.items(b"+OK\r\n")
    with pytest.raises(InternalError, match="not an error"):
        decode.error_text(b"+OK\r\n")
