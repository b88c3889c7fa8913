"""Writes to streams that copies repeat alike: what is rewritten, to what. Real servers: live/test_stream_copies.py."""

import pytest

from kidoproxy.commands.stream_writes import ADD_ENTRY, MAX_SCRIPT_WORDS, with_repeatable_effect

ENTRY_ID = b"1700000000000-0"

#: Request, which argument of the script is the id, the script's arguments behind that.
SCRIPTED = """
XADD k * f v | 2 | 1700000000000-0 f v
xadd k nomkstream * * * | 3 | nomkstream 1700000000000-0 * *
xadd k MAXLEN ~ 5 * f ~ | 5 | MAXLEN = 5 1700000000000-0 f ~
xadd k maxlen = 5 limit 2 * f v | 7 | maxlen = 5 limit 2 1700000000000-0 f v
xadd k minid ~ 5 limit 2 keepref * f v | 6 | minid = 5 keepref 1700000000000-0 f v
xadd k limit 2 maxlen ~ 5 * f v | 5 | maxlen = 5 1700000000000-0 f v
xadd k maxlen ~ 5 limit -1 * f v | 7 | maxlen ~ 5 limit -1 1700000000000-0 f v
xadd k maxlen ~ 5 limit x * f v | 7 | maxlen ~ 5 limit x 1700000000000-0 f v
xadd k idmp p * * f v | 5 | idmp p * 1700000000000-0 f v
xadd k idmpauto * delref * f v | 5 | idmpauto * delref 1700000000000-0 f v
"""

PLAIN = """
XADD k maxlen ~ 5 1-1 f v | XADD k maxlen = 5 1-1 f v
XTRIM k MAXLEN ~ 5 | XTRIM k MAXLEN = 5
xtrim k minid ~ 5 limit 100 acked | xtrim k minid = 5 acked
xadd k maxlen ~ 1-1 f v | xadd k maxlen = 1-1 f v
xtrim k limit 100 minid ~ 5 | xtrim k minid = 5
"""

#: Repeatable, or an error.
ALONE = """
xadd k 1-1 f v
xadd k 5-* f v
xadd k 1-1 * v
xadd k maxlen 5 1-1 f ~
xadd k
xtrim k maxlen 5
xtrim k maxlen ~ 5 maxlen = 5
xtrim k maxlen ~
xtrim k ~ 5
xtrim k * f
xtrim k maxlen 5 *
"""


def rows(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.split("|")] for line in text.strip().splitlines()]


@pytest.mark.parametrize(("line", "position", "arguments"), rows(SCRIPTED))
def test_ids_are_given(line: str, position: str, arguments: str) -> None:
    """``*`` of XADD becomes an id, which the script raises where the stream has a later one; ``~`` becomes ``=``."""
    wanted = [b"EVAL", ADD_ENTRY, b"1", b"k", position.encode(), *arguments.encode().split()]
    assert with_repeatable_effect(line.encode().split(), ENTRY_ID) == wanted
    assert wanted[4 + int(position) - 1] == ENTRY_ID


@pytest.mark.parametrize(("line", "wanted"), rows(PLAIN))
def test_trimming_is_exact(line: str, wanted: str) -> None:
    """``~`` becomes ``=``, and LIMIT goes, which servers accept only with ``~``."""
    assert with_repeatable_effect(line.encode().split(), ENTRY_ID) == wanted.encode().split()


@pytest.mark.parametrize("line", ALONE.strip().splitlines())
def test_left_alone(line: str) -> None:
    """What copies repeat alike is sent as it is, and so is what a server has an error for."""
    assert with_repeatable_effect(line.encode().split(), ENTRY_ID) is None


def test_more_words_than_a_script_can_take() -> None:
    """Then the id stands without a script."""
    words = [b"v"] * (MAX_SCRIPT_WORDS - 3)
    scripted = with_repeatable_effect([b"XADD", b"k", b"*", *words], ENTRY_ID)
    assert scripted is not None
    assert scripted[0] == b"EVAL"
    wanted = [b"XADD", b"k", ENTRY_ID, b"v", *words]
    assert with_repeatable_effect([b"XADD", b"k", b"*", b"v", *words], ENTRY_ID) == wanted
