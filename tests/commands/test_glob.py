"""Redis's own patterns. A real server is asked about more in ``live/test_answers.py``."""

import pytest

from kidoproxy.commands.glob import matches


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (b"", [b""], [b"a"]),
        (b"abc", [b"abc"], [b"ab", b"abcd", b"abd", b""]),
        (b"*", [b"a", b"abc"], [b""]),
        (b"a*c", [b"ac", b"abc", b"abcbc"], [b"ab", b"bc"]),
        (b"a**b*", [b"ab", b"axbx"], [b"a"]),
        (b"h?llo", [b"hello", b"hallo"], [b"hllo", b"heello"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-c]llo", [b"hallo", b"hbllo"], [b"hdllo"]),
        (b"h[c-a]llo", [b"hallo", b"hbllo"], [b"hdllo"]),
        (b"[a\\]]", [b"a", b"]"], [b"b", b"\\"]),
        (b"[ab", [b"a", b"b"], [b"c", b"ab["]),
        (b"[]a", [], [b"]a", b"a"]),
        (b"[a-", [b"a", b"-"], [b"b"]),
        (b"[\\", [b"\\"], [b"a"]),
        (b"\\*", [b"*"], [b"a", b"\\*"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"*[ab]*[cd]", [b"xaxc", b"bd"], [b"ax", b"cd"]),
    ],
)
def test_matches(pattern: bytes, yes: list[bytes], no: list[bytes]) -> None:
    """The whole text fits, or it does not."""
    assert [text for text in yes + no if matches(pattern, text)] == yes


def test_not_slow() -> None:
    """Many stars do not make it exponential."""
    assert not matches(b"*a" * 50 + b"b", b"a" * 500)
