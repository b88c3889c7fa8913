"""Three copies, for the stories of reads and of writes."""

from tests.story import Pool, copies, led_by

ALL = ("a", "b", "c")


def three(behind: str = "", min_in_sync: int = 1) -> tuple[Pool, str]:
    """A copy pool of three, and a key that ``a`` decides for."""
    pool = copies(*ALL, behind=behind, min_in_sync=min_in_sync)
    return pool, led_by(pool, "a")
