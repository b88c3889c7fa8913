"""Keys are cut into batches by what their values need, as far as that is known."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.batch_size import BATCH_BYTES, BATCH_KEYS, DEFAULT_VALUE_BYTES, SizeEstimator


@given(st.lists(st.one_of(st.none(), st.integers(0, 2 * BATCH_BYTES)), max_size=300))
def test_keys_are_cut_into_batches(sizes: list[int | None]) -> None:
    """All keys, in order; no batch is too large, but for one value alone."""
    keys = [b"%d" % at for at in range(len(sizes))]
    batches = SizeEstimator().split_keys(keys, sizes)
    assert [key for batch in batches for key in batch.keys] == keys
    for batch in batches:
        assert batch.estimated_bytes == sum(
            DEFAULT_VALUE_BYTES if (size := sizes[int(key)]) is None else size for key in batch.keys
        )
        assert 1 <= len(batch.keys) <= BATCH_KEYS
        assert batch.estimated_bytes <= BATCH_BYTES or len(batch.keys) == 1


def test_sizes_are_estimated() -> None:
    """Where a node does not say how large its values are, it is learned from those that came."""
    sizes = SizeEstimator()
    sizes.observe(0, 0)
    assert sizes.size_or_estimate(None) == DEFAULT_VALUE_BYTES
    for _ in range(20):
        sizes.observe(2, 2_000_000)
    assert 900_000 < sizes.size_or_estimate(None) <= 1_000_000
    assert sizes.size_or_estimate(7) == 7
    assert [len(batch.keys) for batch in sizes.split_keys([b"a", b"b"], [None, None])] == [1, 1]
