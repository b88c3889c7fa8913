"""The states of a connection and the moves between them, and what keeps requests back on one that is ready.

              start_connecting     on_connected      become_ready
      ┌──────┐      ┌────────────┐      ┌─────────────┐      ┌───────┐
      │ new  │ ───► │ connecting │ ───► │ handshaking │ ───► │ ready │
      └──────┘      └────────────┘      └─────────────┘      └───────┘
                     ▲      ▲    │                 │            │
      when retry_at  │      │    └─────┬───────────┴────────────┤
      has come       │      │          ▼ lose_connection        ▼ `deadlines.reconnect`
                     │      └── at once, the first time after a connection that was of use
                  ┌──────┐             │
                  │ down │ ◄───────────┘ refused, silent, failed again, dedicated
                  └──────┘

A connection that nobody needs any more is closed from any state, and is *down* from then on. `MOVES` is the same as a
table; `ConnectionBase.move_to` is the one place where the state changes.

Conditions are what else is the matter, any number of them at a time. A request may be sent at once (``can_send``) if
the connection is ready and there are none. They change in `ConnectionBase.add_condition` and `remove_condition` only.
"""

from typing import Final

NEW: Final = 0
CONNECTING: Final = 1
HANDSHAKING: Final = 2
READY: Final = 3
DOWN: Final = 4
STATE_NAMES: Final = ("new", "connecting", "handshaking", "ready", "down")

#: By state: the states that may come next.
MOVES: Final = (
    (CONNECTING, DOWN),
    (CONNECTING, HANDSHAKING, DOWN),
    (CONNECTING, READY, DOWN),
    (CONNECTING, DOWN),
    (CONNECTING, DOWN),
)

#: Connecting or handshaking after it was *down*: nobody may wait for it.
RETRYING: Final = 1
#: A sync copies through it: requests wait until that is over (`SendingConnection.hold`).
HELD: Final = 2
#: It answers, but nothing in time: requests fail at once until one of its probes is in time.
SUSPECT: Final = 4
#: A SELECT is under way that may be refused: requests wait for its reply.
SELECT_PENDING: Final = 8
#: Its node is not what its name stands for: requests wait for a new connection, which is made when this one is idle.
RECONNECT_PENDING: Final = 16
#: Requests fail at once rather than wait.
FAIL_FAST: Final = RETRYING | SUSPECT
