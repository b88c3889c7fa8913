"""Keys that writes with several keys have touched: all of a database at one point of the order, if they are small."""

from kidoproxy.copies.batches import BATCH_BYTES, Sizes
from kidoproxy.copies.touched import AGAIN, SHORT_LOOKS, Known, Touched
from kidoproxy.routes.topology import CopyGroup

LARGE = BATCH_BYTES // 2 + 1


def touched(*places: tuple[int, bytes]) -> Touched:
    """So many keys of these databases."""
    group = CopyGroup("pair", [])
    again = Touched(group)
    again.begin_pass()
    group.touched = dict.fromkeys(places, True)
    known = Known()
    assert again.take(known) is bool(places)
    assert all(known.note(place) for place in places)
    return again


def test_small_ones_level_their_database() -> None:
    """However many there are, up to a limit; what is touched later in a level database does not matter."""
    again = touched(*[(0, b"%d" % at) for at in range(AGAIN)], (1, b"x"))
    assert again.database() == 0
    assert len(again.cut(0, {}, Sizes()).keys) < AGAIN
    small: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(AGAIN)}
    again = touched(*[(0, b"%d" % at) for at in range(AGAIN)], (1, b"x"))
    assert len(again.cut(0, small, Sizes()).keys) == AGAIN
    assert again.level == {0: True}
    again.group.touched = {(0, b"later"): True}
    assert again.take(Known())
    assert again.keys(0) == []
    again.group.touched = {(0, b"later"): True}
    again.group.crossed = True
    assert again.take(Known())
    assert again.keys(0) == [b"later"]
    again.drop(0)
    again.drop(1)
    assert not again.take(Known())


def test_large_ones_come_in_pieces() -> None:
    """But not for ever: writes may touch them faster than they are looked at."""
    again = touched((0, b"a"), (0, b"b"))
    sizes: dict[bytes, int | None] = {b"a": LARGE, b"b": LARGE}
    for _ in range(SHORT_LOOKS):
        assert again.cut(0, sizes, Sizes()).keys == [b"a"]
        assert again.level == {}
        again.group.touched = {(0, b"a"): True}
        again.take(Known())
        again.waiting = dict(sorted(again.waiting.items()))
    batch = again.cut(0, sizes, Sizes())
    assert (batch.keys, batch.size, again.level) == ([b"a", b"b"], 2 * LARGE, {0: True})


def test_too_many() -> None:
    """More than are looked at at once do not level their database."""
    again = touched(*[(0, b"%d" % at) for at in range(AGAIN + 1)])
    sizes: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(AGAIN + 1)}
    assert len(again.cut(0, sizes, Sizes()).keys) == AGAIN
    assert again.level == {}
    assert again.keys(0) == [b"%d" % AGAIN]


def test_known() -> None:
    """What was noted is known; of others a few at most are taken for it."""
    known = Known()
    assert not any(known.note((0, b"k%d" % at)) for at in range(3))
    assert all(known.note((0, b"k%d" % at)) for at in range(3))
    assert not known.note((1, b"k0"))
    others = Known()
    assert sum([others.note((0, b"%d" % at)) for at in range(10_000)]) < 50
