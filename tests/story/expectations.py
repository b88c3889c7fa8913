"""What must come of it: after ``<<``."""

from collections.abc import Callable

from tests.story.frames import Text, frames, request, shown
from tests.story.play import PLAIN, ConnectionKey, Event, Story


def to(name: str, *texts: Text, on: ConnectionKey = PLAIN) -> Event:
    """These requests were written to the node, in this order."""

    def expectation(play: Story) -> None:
        sent = play.sent[name]
        wanted = [(on, request(text)) for text in texts]
        was = [(one.key, one.raw) for one in sent[: len(wanted)]]
        assert was == wanted, "\n".join(
            [f"node {name} was to be asked, on {on}:"]
            + [shown(raw) for _, raw in wanted]
            + ["  but was asked:"]
            + [f"  on {key}:\n{shown(raw)}" for key, raw in was]
        )
        del sent[: len(wanted)]

    return expectation


def to_client(*replies: Text, name: str = "me") -> Event:
    """The client was sent exactly these bytes."""

    def expectation(play: Story) -> None:
        me = play.client(name)
        wanted = frames(replies)
        was, me.received = me.received, b""
        assert was == wanted, f"client {name} was to be told:\n{shown(wanted)}\n  but was told:\n{shown(was)}"

    return expectation


def received(play: Story, name: str = "me") -> bytes:
    """What the client was sent, whatever it is; the story has said it then."""
    one = play.client(name)
    raw, one.received = one.received, b""
    return raw


def leased(play: Story) -> list[int]:
    """How many dedicated connections sessions have, by node."""
    return [connection_set.leased_count for connection_set in play.executor.connection_sets]


def silence() -> Event:
    """Nobody was told anything more."""
    return Story.nothing_left


def closed(name: str = "me") -> Event:
    """The client's socket is closed now."""

    def expectation(play: Story) -> None:
        assert play.client(name).closed, f"client {name} is still connected"

    return expectation


def open_still(name: str = "me") -> Event:
    """The client's socket is not closed."""

    def expectation(play: Story) -> None:
        assert not play.client(name).closed, f"client {name} has been cut"

    return expectation


def then(check: Callable[[Story], bool]) -> Event:
    """A fact about the proxy that must hold."""

    def expectation(play: Story) -> None:
        assert check(play)

    return expectation
