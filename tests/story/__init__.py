"""Stories: a dialogue between clients, the proxy's pure core and nodes. No socket, no loop; time is an argument.

    story(ring("a", "b")) >> client("GET {a}1", "GET {b}2") << to("a", "GET {a}1") << to("b", "GET {b}2")
                          >> node("b", "$1 x") << silence()              # {a}1 is still owed
                          >> node("a", "$-1") << to_client("$-1", "$1 x")

``>>`` lets something happen, ``<<`` says what must come of it. Nothing may come of it that is not said:
the next ``>>`` (or `silence`) complains about what is left, and shows both sides.

The key ``{a}1`` lives on node ``a``: the rings of stories place by tags that are the nodes' names. Connections
connect and shake hands by themselves, unless the story begins with ``shy=True``. Requests are written as words,
replies as tokens: ``+OK``, ``-ERR no``, ``:1``, ``$1 x``, ``$-1``, ``*2 $1 a :1``; or as raw bytes.
"""

from tests.story.events import (
    accepted,
    client,
    down,
    given,
    gone,
    greeted,
    half_closed,
    lost,
    node,
    refused,
    restarted,
    tick,
    unheard,
)
from tests.story.expectations import closed, leased, open_still, received, silence, then, to, to_client
from tests.story.frames import Text, frame, frames, request, requests, shown
from tests.story.play import (
    LEASED,
    LEASED2,
    PLAIN,
    TICK,
    WALL_MS,
    ConnectionKey,
    Event,
    SentRequest,
    Story,
    StoryClient,
)
from tests.story.pools import Pool, copies, led_by, only_default, ring

story = Story

__all__ = [
    "LEASED",
    "LEASED2",
    "PLAIN",
    "TICK",
    "WALL_MS",
    "ConnectionKey",
    "Event",
    "Pool",
    "SentRequest",
    "Story",
    "StoryClient",
    "Text",
    "accepted",
    "client",
    "closed",
    "copies",
    "down",
    "frame",
    "frames",
    "given",
    "gone",
    "greeted",
    "half_closed",
    "leased",
    "led_by",
    "lost",
    "node",
    "only_default",
    "open_still",
    "received",
    "refused",
    "request",
    "requests",
    "restarted",
    "ring",
    "shown",
    "silence",
    "story",
    "then",
    "tick",
    "to",
    "to_client",
    "unheard",
]
