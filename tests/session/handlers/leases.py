"""Dedicated connections at the end of a story: how many are leased, and how many are kept."""

from tests.story import (
    Event,
    Story,
    leased,
    then,
)


def leased_and_free(play: Story) -> tuple[list[int], list[int]]:
    """How many dedicated connections are leased, and how many are free, by node."""
    return leased(play), [len(connection_set.free_dedicated) for connection_set in play.executor.connection_sets]


def free(*idle: int) -> Event:
    """No dedicated connection is leased, and so many are kept, by node."""
    return then(lambda play: leased_and_free(play) == ([0] * len(idle), list(idle)))
