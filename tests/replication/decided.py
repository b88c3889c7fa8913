"""What must hold of a copy pool whose leader has decided something, for stories."""

from tests.story import Event, Story, then


def in_sync(*names: str) -> Event:
    """These copies are in sync."""
    return then(lambda play: [copy.node.name for copy in play.pool.groups[0].in_sync()] == list(names))


def noted(*keys: str) -> Event:
    """These keys wait for a repair."""
    return then(lambda play: [key.decode() for _, key in play.pool.groups[0].to_repair] == list(keys))


def idle(play: Story) -> bool:
    """Nobody has a turn, and no write is open."""
    group = play.pool.groups[0]
    return not group.key_turns.busy and not group.open_writes
