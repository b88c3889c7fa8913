"""Whether a session handles requests, what it waits for if not, and the legal moves between these modes.

    ready ──► yielded    its budget for this turn is used up, or it is in the middle of a long job
    ready ──► draining   the next request must not overtake open replies, or these are too many
    ready ──► blocked    BLPOP, WAIT and the like are under way on dedicated connections
    ready ──► awaiting   COMMAND INFO or FUNCTION LIST is under way at the nodes, or a SUBSCRIBE of another client is
                         that its PUBLISH must not overtake
    ready ──► paused     CLIENT PAUSE holds the next request;  paused ──► yielded  when the pause ends
      any ──► ready      `ClientSession.resume`
      any ──► closing    QUIT, CLIENT KILL, a malformed frame, a limit, the end of the socket; for good

A session waits for one thing at a time, and `kidoproxy.session.session.ClientSession.resume` ends the waiting, whatever
it was for. `MOVES` is the same as a table; `SessionState.enter` is the one place where the mode changes.

Beside its mode a session may be in a transaction (``multi``), watch keys (``watch``), monitor (``monitor``) and have
subscriptions (``subscriber``): any number of them at a time, each with an object of its own.
"""

from typing import Final

#: Requests are handled as they come.
READY: Final = 0
#: It has used up its share of this turn of the event loop, or is in the middle of a long job.
YIELDED: Final = 1
#: Until its reply queue has drained as far as `ReplyQueue.resume_at`.
WAITING_FOR_REPLIES: Final = 2
#: Until its request on dedicated connections is answered.
BLOCKED: Final = 3
#: Until nodes have confirmed the subscriptions that its message must not overtake, or said what they know of a command
#: or a function.
WAITING_FOR_NODES: Final = 4
#: Until the end of CLIENT PAUSE.
PAUSED: Final = 5
#: Nothing more is read; open replies are sent, then the socket is closed.
CLOSING: Final = 6
MODE_NAMES: Final = ("ready", "yielded", "draining", "blocked", "awaiting", "paused", "closing")

#: By mode: the modes that may come next. Whoever closes twice stays closing.
MOVES: Final = (
    (YIELDED, WAITING_FOR_REPLIES, BLOCKED, WAITING_FOR_NODES, PAUSED, CLOSING),
    (READY, CLOSING),
    (READY, CLOSING),
    (READY, CLOSING),
    (READY, CLOSING),
    (READY, YIELDED, CLOSING),
    (CLOSING,),
)
