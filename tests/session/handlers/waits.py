"""What stories of clients that wait for keys of two copies begin with."""

from tests.story import (
    Event,
    Story,
    client,
    copies,
    led_by,
    node,
    silence,
    story,
    tick,
    to,
)

#: A key of two copies whose leader is the first.
KEY = led_by(copies("a", "b"), "a")
POPPED = f"*2 ${len(KEY)} {KEY} $1 x"
BOTH = "ab"


def attempts(request: str) -> Event:
    """An expectation: the request was sent to both copies, not to wait."""

    def expectation(play: Story) -> None:
        for name in BOTH:
            to(name, "MULTI", request, "EXEC")(play)

    return expectation


def both(*replies: str) -> Event:
    """Both copies say the same."""

    def event(play: Story) -> None:
        for name in BOTH:
            node(name, *replies)(play)

    return event


def exec_reply(reply: str) -> Event:
    """Both copies answer an attempt."""
    return both("+OK", "+QUEUED", f"*1 {reply}")


def sent_to_both(*requests: str) -> Event:
    """Both copies were sent these."""

    def expectation(play: Story) -> None:
        for name in BOTH:
            to(name, *requests)(play)

    return expectation


NOTHING = exec_reply("*-1")


def waiting(*names: str, request: str = f"BLPOP {KEY} 0") -> Story:
    """A story of two copies in which these clients wait for a key that is not there."""
    play = story(copies("a", "b"))
    for name in names or ("me",):
        play >> client(request, name=name) << attempts(request) >> NOTHING << silence()
    return play


def one_attempt(request: str = f"BLPOP {KEY} 0") -> list[str]:
    return ["MULTI", request, "EXEC"]


def seconds(count: float) -> Event:
    """Time goes by, and the nodes give their signs of life, which do not matter here."""

    def event(play: Story) -> None:
        for _ in range(round(count * 4)):
            tick(0.25)(play)
            for name, sent in play.sent.items():
                pings = [one for one in sent if one.raw.endswith(b"PING\r\n")]
                for one in pings:
                    sent.remove(one)
                node(name, *["+PONG"] * len(pings))(play)

    return event
