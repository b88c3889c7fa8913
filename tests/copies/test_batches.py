"""Keys are cut into batches by what their values need, as far as that is known."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.copies.batches import BATCH_BYTES, BATCH_KEYS, FIRST_GUESS, Sizes


@given(st.lists(st.one_of(st.none(), st.integers(0, 2 * BATCH_BYTES)), max_size=300))
def test_cut(sizes: list[int | None]) -> None:
    """All keys, in order; no batch is too large, but for one value alone."""
    keys = [b"%d" % at for at in range(len(sizes))]
    batches = Sizes().cut(keys, sizes)
    assert [key for batch in batches for key in batch.keys] == keys
    for batch in batches:
        assert batch.size == sum(FIRST_GUESS if (size := sizes[int(key)]) is None else size for key in batch.keys)
        assert 1 <= len(batch.keys) <= BATCH_KEYS
        assert batch.size <= BATCH_BYTES or len(batch.keys) == 1


def test_guess() -> None:
    """Where a node does not say how large its values are, it is learned from those that came."""
    sizes = Sizes()
    sizes.learn(0, 0)
    assert sizes.of(None) == FIRST_GUESS
    for _ in range(20):
        sizes.learn(2, 2_000_000)
    assert 900_000 < sizes.of(None) <= 1_000_000
    assert sizes.of(7) == 7
    assert [len(batch.keys) for batch in sizes.cut([b"a", b"b"], [None, None])] == [1, 1]
