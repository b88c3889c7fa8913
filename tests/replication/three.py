"""Three copies, for the stories of reads and of writes."""

from kidoproxy.resp.encode import bulk
from tests.story import Pool, Story, client, copies, led_by, node, story, to

ALL = ("a", "b", "c")


def three(behind: str = "", min_in_sync: int = 1) -> tuple[Pool, str]:
    """A copy pool of three, and a key that ``a`` decides for."""
    pool = copies(*ALL, behind=behind, min_in_sync=min_in_sync)
    return pool, led_by(pool, "a")


def flushing(pool: Pool) -> Story:
    """FLUSHDB has been sent to all three, when one has said how much it has."""
    play = story(pool)
    assert play >> client("FLUSHDB") << to("a", "INFO memory") >> node("a", bulk(b"used_memory:100\r\n"))
    for name in ALL:
        assert play << to(name, "FLUSHDB")
    return play
