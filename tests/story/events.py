"""What may happen in a story: after ``>>``."""

from kidoproxy.session import cleanup
from tests.story.frames import Text, frames, request
from tests.story.play import PLAIN, TICK, ConnectionKey, Event, Story


def client(*texts: Text, name: str = "me") -> Event:
    """The client sends these requests, in one go."""

    def event(play: Story) -> None:
        play.client(name).session.feed(b"".join([request(text) for text in texts]))

    return event


def node(name: str, *replies: Text, on: ConnectionKey = PLAIN) -> Event:
    """The node sends these replies."""

    def event(play: Story) -> None:
        play.connection(name, on).feed(frames(replies), play.executor.now)

    return event


def lost(name: str, cause: str = "it closed the connection", on: ConnectionKey = PLAIN) -> Event:
    """The node's socket is closed by somebody else."""

    def event(play: Story) -> None:
        conn = play.connection(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.executor.now, False)

    return event


def refused(name: str, cause: str = "connection refused", on: ConnectionKey = PLAIN) -> Event:
    """An attempt to connect has failed (in a shy story), or a connection is lost and so is the attempt that follows."""

    def event(play: Story) -> None:
        conn = play.connection(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.executor.now, True)

    return event


def accepted(name: str, on: ConnectionKey = PLAIN) -> Event:
    """In a shy story: the node accepts the connection; the proxy begins the handshake."""

    def event(play: Story) -> None:
        play.connect(play.connection(name, on))

    return event


def greeted(name: str, on: ConnectionKey = PLAIN) -> Event:
    """In a shy story: the node accepts the connection and answers the handshake."""

    def event(play: Story) -> None:
        play.connect(play.connection(name, on))
        play.greet(play.connection(name, on))

    return event


def restarted(name: str, on: ConnectionKey = PLAIN) -> Event:
    """The node goes and comes back as another run."""

    def event(play: Story) -> None:
        play.run_ids[name] += "-again"
        lost(name, on=on)(play)

    return event


def tick(seconds: float = TICK) -> Event:
    """Time goes by."""

    def event(play: Story) -> None:
        end = play.executor.now + seconds
        while play.executor.now < end - 1e-9:
            now = min(end, play.executor.now + TICK)
            play.proxy.clock.ms += round((now - play.executor.now) * 1000)
            play.executor.tick(now)
            play.proxy.tick()
            for one in play.ticking:
                one(now)
            play.settle()

    return event


def gone(name: str = "me") -> Event:
    """The client is gone: what has come whole is still run, but nobody hears of it."""

    def event(play: Story) -> None:
        me = play.client(name)
        me.gone = me.closed = True
        cleanup.on_eof(me.session)
        if me.session.closing:
            me.session.on_disconnect()

    return event


def half_closed(name: str = "me") -> Event:
    """The client sends nothing more, and still reads."""

    def event(play: Story) -> None:
        cleanup.on_eof(play.client(name).session)

    return event


def given(act: Event) -> Event:
    """Anything else that happens."""
    return act


def unheard(play: Story) -> None:
    """What has been said so far does not matter here."""
    for sent in play.sent.values():
        sent.clear()
    for me in play.clients.values():
        me.received = b""


def down(*names: str) -> Event:
    """These nodes have gone, as clients have noticed."""

    def event(play: Story) -> None:
        for name in names:
            client(f"GET {{{name}}}0", name="scout")(play)
            play.settle()
            refused(name)(play)
            play.settle()
        unheard(play)

    return event
