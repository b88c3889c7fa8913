"""What may happen in a story: after ``>>``."""

from kidoproxy.session import cleanup
from tests.story.frames import Text, frames, request
from tests.story.play import PLAIN, TICK, Event, Story, Way


def client(*texts: Text, name: str = "me") -> Event:
    """The client sends these requests, in one go."""

    def event(play: Story) -> None:
        play.guest(name).session.feed(b"".join([request(text) for text in texts]))

    return event


def node(name: str, *replies: Text, on: Way = PLAIN) -> Event:
    """The node sends these replies."""

    def event(play: Story) -> None:
        play.link(name, on).feed(frames(replies), play.exchange.now)

    return event


def lost(name: str, cause: str = "it closed the connection", on: Way = PLAIN) -> Event:
    """The node's socket is closed by somebody else."""

    def event(play: Story) -> None:
        conn = play.link(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.exchange.now, False)

    return event


def refused(name: str, cause: str = "connection refused", on: Way = PLAIN) -> Event:
    """An attempt to connect has failed (in a shy story), or a link is lost and so is the attempt that follows."""

    def event(play: Story) -> None:
        conn = play.link(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.exchange.now, True)

    return event


def accepted(name: str, on: Way = PLAIN) -> Event:
    """In a shy story: the node accepts the connection; the link greets."""

    def event(play: Story) -> None:
        play.connect(play.link(name, on))

    return event


def greeted(name: str, on: Way = PLAIN) -> Event:
    """In a shy story: the node accepts the connection and answers the greeting."""

    def event(play: Story) -> None:
        play.connect(play.link(name, on))
        play.greet(play.link(name, on))

    return event


def restarted(name: str, on: Way = PLAIN) -> Event:
    """The node goes and comes back as another run."""

    def event(play: Story) -> None:
        play.run_ids[name] += "-again"
        lost(name, on=on)(play)

    return event


def tick(seconds: float = TICK) -> Event:
    """Time goes by."""

    def event(play: Story) -> None:
        end = play.exchange.now + seconds
        while play.exchange.now < end - 1e-9:
            now = min(end, play.exchange.now + TICK)
            play.house.clock.ms += round((now - play.exchange.now) * 1000)
            play.exchange.tick(now)
            play.house.tick()
            for one in play.ticking:
                one(now)
            play.settle()

    return event


def gone(name: str = "me") -> Event:
    """The client is gone: what has come whole is still run, but nobody hears of it."""

    def event(play: Story) -> None:
        guest = play.guest(name)
        guest.gone = guest.closed = True
        cleanup.on_eof(guest.session)
        if guest.session.closing:
            guest.session.on_disconnect()

    return event


def half_closed(name: str = "me") -> Event:
    """The client sends nothing more, and still reads."""

    def event(play: Story) -> None:
        cleanup.on_eof(play.guest(name).session)

    return event


def given(act: Event) -> Event:
    """Anything else that happens."""
    return act


def unheard(play: Story) -> None:
    """What has been said so far does not matter here."""
    for told in play.told.values():
        told.clear()
    for guest in play.guests.values():
        guest.heard = b""
