"""The steps of a sync, which may follow which, and how a person reads them.

A sync is a chain of requests to two nodes. `SyncStep` is the request whose reply it waits for now; `SyncPhase` is the
part of the pass that this belongs to.

           refill
    PROVE ────────► EMPTY
      │               │
      ▼               ▼
    LIST_DATABASES  ◄─────────────────────────────── another pass ──┐
      │                                                             │
      ▼                                                             │
    SELECT             each database that was not tried yet         │
      │                                                             │
      ▼                                                             │
    SCAN  ◄──────────────────────────────────────────┐              │
      │  the target's keys                more keys, │              │
      ├────────────────► CHECK_LEFTOVERS ────────────┤              │
      │  the source's keys     │  what only the      │              │
      ▼                        │  target has         │              │
    SIZE  ◄────────────────────┘                     │              │
      │ ▲                                            │              │
      │ └─── keys touched meanwhile ──┐              │              │
      ▼                               │              │              │
    COPY  ────────────────────────────┴──────────────┘              │
      │                                                             │
      ▼  the last key was compared                                  │
    WAIT_FOR_WRITES ─────────────────────── a write was missed ─────┤
      │      └ left out after a difference, or when only filling ───┘
      ▼
    DONE

Every step may also go to DONE, when the sync fails. COPY needs a proof that still holds: if a connection was lost,
SIZE and COPY go to PROVE first and come back to COPY. A pass without keys, or without databases, goes straight to its
end. WAIT_FOR_WRITES goes back to SIZE for keys that the target has answered differently. `LEGAL_MOVES` is the whole
table, and `checked_move` lets nothing else happen.
"""

from enum import Enum
from typing import Final


class SyncStep(Enum):
    """The request whose reply a sync is waiting for."""

    PROVE = 0
    EMPTY = 1
    LIST_DATABASES = 2
    SELECT = 3
    SCAN = 4
    CHECK_LEFTOVERS = 5
    SIZE = 6
    COPY = 7
    WAIT_FOR_WRITES = 8
    DONE = 9


class SyncPhase(Enum):
    """The part of a pass; the value is what an operator reads."""

    LISTING = "listing databases"
    SCANNING_TARGET = "looking for leftovers"
    SCANNING_SOURCE = "copying"
    RECHECKING = "looking again"
    FINISHING = "letting writes end"

    def text(self, step: SyncStep) -> str:
        """What an operator reads: some steps have a text of their own, for the others it is the phase's."""
        return STEP_TEXTS.get(step, str(self.value))


STEP_TEXTS: Final[dict[SyncStep, str]] = {
    SyncStep.PROVE: "making sure of the source",
    SyncStep.EMPTY: "emptying",
    SyncStep.SELECT: "trying databases",
}

#: What may come when a pass has seen its last key: keys that were touched meanwhile, another pass, or the last wait.
END_OF_PASS: Final = frozenset({SyncStep.SELECT, SyncStep.SIZE, SyncStep.LIST_DATABASES, SyncStep.WAIT_FOR_WRITES})

LEGAL_MOVES: Final[dict[SyncStep, frozenset[SyncStep]]] = {
    SyncStep.PROVE: frozenset({SyncStep.PROVE, SyncStep.EMPTY, SyncStep.LIST_DATABASES, SyncStep.COPY, SyncStep.DONE}),
    SyncStep.EMPTY: frozenset({SyncStep.LIST_DATABASES, SyncStep.DONE}),
    SyncStep.LIST_DATABASES: END_OF_PASS | {SyncStep.SCAN, SyncStep.DONE},
    SyncStep.SELECT: END_OF_PASS | {SyncStep.SCAN, SyncStep.DONE},
    SyncStep.SCAN: END_OF_PASS | {SyncStep.SCAN, SyncStep.CHECK_LEFTOVERS, SyncStep.DONE},
    SyncStep.CHECK_LEFTOVERS: END_OF_PASS | {SyncStep.SCAN, SyncStep.DONE},
    SyncStep.SIZE: frozenset({SyncStep.COPY, SyncStep.PROVE, SyncStep.DONE}),
    SyncStep.COPY: END_OF_PASS | {SyncStep.COPY, SyncStep.PROVE, SyncStep.SCAN, SyncStep.DONE},
    SyncStep.WAIT_FOR_WRITES: END_OF_PASS | {SyncStep.DONE},
    SyncStep.DONE: frozenset(),
}


def checked_move(current: SyncStep, following: SyncStep) -> SyncStep:
    """``following``; RuntimeError if no sync may go there from ``current``."""
    if following not in LEGAL_MOVES[current]:
        raise RuntimeError(f"a sync cannot go from {current.name} to {following.name}")
    return following
