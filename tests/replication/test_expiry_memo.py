"""What a group remembers of its keys' expiry is never later than the truth."""

from kidoproxy.replication.expiry_memo import ENTRY_BYTES, MARGIN_MS, NEVER, ExpiryMemo

NOW = 1_000_000
KEY = (0, b"k")


def told(moment: int) -> ExpiryMemo:
    """A memo that has heard this of the key."""
    memo = ExpiryMemo()
    memo.answer(KEY, memo.ask(KEY), moment)
    return memo


def test_far() -> None:
    """Far is more than a margin from now, or never; a key that is not known is not far, nor one that is asked about."""
    assert told(NEVER).is_far(KEY, NOW)
    assert told(NOW + MARGIN_MS + 1).is_far(KEY, NOW)
    assert not told(NOW + MARGIN_MS).is_far(KEY, NOW)
    assert not told(NOW - 1).is_far(KEY, NOW)
    memo = ExpiryMemo()
    assert not memo.is_far(KEY, NOW)
    memo.ask(KEY)
    assert not memo.is_far(KEY, NOW)
    assert not told(NEVER).is_far((1, b"k"), NOW)


def test_copies_that_do_not_agree() -> None:
    """Then nothing is known."""
    memo = told(0)
    assert memo.ask(KEY) == -2
    memo.answer(KEY, -2, 0)
    assert not memo.is_far(KEY, NOW)


def test_one_open_question() -> None:
    """A question that is asked again while it is open is the same one, whose first answer counts."""
    memo = ExpiryMemo()
    first = memo.ask(KEY)
    assert memo.ask(KEY) == first
    memo.answer(KEY, first, NEVER)
    memo.answer(KEY, first, 5)
    assert memo.is_far(KEY, NOW)


def test_an_expiry_is_set() -> None:
    """A known expiry becomes no later than the one that was set; an unknown one leaves nothing known."""
    memo = told(NEVER)
    memo.note_set(KEY, NOW + 5000)
    assert memo.is_far(KEY, NOW)
    memo.note_set(KEY, NOW + 9000)
    assert not memo.is_far(KEY, NOW + 4000)
    memo = told(NEVER)
    memo.note_set(KEY, 0)
    assert not memo.is_far(KEY, NOW)
    memo.note_set(KEY, NOW)
    assert not memo.is_far(KEY, NOW)


def test_an_expiry_is_set_while_a_question_is_open() -> None:
    """The answer may be older than the write: the earlier moment counts, and an unknown one makes it worth nothing."""
    memo = ExpiryMemo()
    question = memo.ask(KEY)
    memo.note_set(KEY, NOW + 5000)
    memo.note_set(KEY, NOW + 7000)
    memo.answer(KEY, question, NEVER)
    assert memo.is_far(KEY, NOW)
    assert not memo.is_far(KEY, NOW + 4000)
    memo = ExpiryMemo()
    question = memo.ask(KEY)
    memo.note_set(KEY, NOW + 5000)
    memo.note_set(KEY, 0)
    assert memo.ask(KEY) != question
    memo.answer(KEY, question, NEVER)
    assert not memo.is_far(KEY, NOW)
    assert not memo.set_since


def test_bound() -> None:
    """Names are kept in two generations; those that are used stay, and the younger one is bounded."""
    memo = ExpiryMemo(4 * (ENTRY_BYTES + 1))
    for name in (b"a", b"b", b"c", b"d", b"e"):
        memo.answer((0, name), memo.ask((0, name)), NEVER)
        assert memo.is_far((0, b"a"), NOW)
    assert memo.is_far((0, b"b"), NOW)
    for name in (b"f", b"g", b"h"):
        memo.ask((0, name))
    memo.note_set((0, b"a"), 0)
    assert not any(memo.is_far((0, name), NOW) for name in (b"a", b"c", b"d"))
    assert memo.is_far((0, b"b"), NOW)


def test_clear() -> None:
    """After a clear nothing is known, and what is under way says nothing."""
    memo = told(NEVER)
    question = memo.ask((0, b"x"))
    memo.clear()
    memo.answer((0, b"x"), question, NEVER)
    assert not memo.is_far(KEY, NOW)
    assert not memo.is_far((0, b"x"), NOW)
