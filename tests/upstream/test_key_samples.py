"""The sketch of hot keys and the table of large ones: small, whatever comes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp import limits
from kidoproxy.upstream.key_samples import BigKeys, HotKeys

MANY = limits.SKETCHED_KEYS


@given(st.lists(st.integers(0, 4 * MANY), max_size=2000))
def test_a_hot_key_is_never_missed(numbers: list[int]) -> None:
    """What is more than one in so many is there, and no key is said to be hotter than it is."""
    sketch, true = HotKeys(), Counter(numbers)
    for number in numbers:
        sketch.add(b"%d" % number)
    assert len(sketch.keys) <= MANY
    for number, count in true.items():
        known = sketch.keys.get(b"%d" % number)
        assert known is not None or count <= len(numbers) / MANY
        assert known is None or known.count - known.error <= count <= known.count
    assert all(count <= true[int(key)] for key, count in sketch.counts())


def test_the_rarest_gives_way() -> None:
    """A key that is new takes the place of the rarest one, and its count, which it may not be credited with."""
    sketch = HotKeys()
    for number in range(MANY):
        for _ in range(2 + number):
            sketch.add(b"%d" % number)
    sketch.add(b"new")
    assert (b"0" in sketch.keys, sketch.keys[b"new"].count, sketch.keys[b"new"].error) == (False, 3, 2)
    assert b"new" not in dict(sketch.counts())


def test_what_was_hot_goes() -> None:
    """A key that is asked for no more loses half of its count again and again, and in the end its place."""
    sketch = HotKeys()
    for _ in range(limits.SKETCHED_SAMPLES - 1):
        sketch.add(b"old")
    sketch.add(b"once")
    assert (sketch.counts(), sketch.samples) == (
        [(b"old", limits.SKETCHED_SAMPLES // 2 - 1)],
        MANY * 0 + sketch.samples,
    )
    assert sketch.samples == limits.SKETCHED_SAMPLES // 2
    for _ in range(20):
        sketch.halve()
    assert (sketch.counts(), sketch.keys, sketch.samples) == ([], {}, 0)


def test_large_keys_are_shortened() -> None:
    """A key that is long itself takes no more room than others."""
    sketch, big = HotKeys(), BigKeys()
    sketch.add(b"x" * 1000)
    big.note(b"x" * 1000, 5)
    assert [*sketch.keys, *big.sizes] == [b"x" * limits.SHOWN_KEY_BYTES] * 2


@given(st.lists(st.tuples(st.integers(0, 2 * MANY), st.integers(1, 1000)), max_size=500))
def test_the_largest_are_kept(sizes: list[tuple[int, int]]) -> None:
    """As many as there is room for, each with the largest size that it had while it was there."""
    big = BigKeys()
    for number, size in sizes:
        big.note(b"%d" % number, size)
    true: dict[bytes, int] = {}
    for number, size in sizes:
        true[b"%d" % number] = max(size, true.get(b"%d" % number, 0))
    assert len(big.sizes) == min(MANY, len(true))
    assert all(size == true[key] for key, size in big.sizes.items())
    assert not big.sizes or max(big.sizes.values()) == max(true.values())


def test_the_smallest_gives_way() -> None:
    """When the table is full a key comes in only if it is larger than the smallest one."""
    big = BigKeys()
    for number in range(MANY):
        big.note(b"%d" % number, 10 + number)
    big.note(b"new", 10)
    assert b"new" not in big.sizes
    big.note(b"new", 11)
    assert (b"new" in big.sizes, b"0" in big.sizes) == (True, False)
