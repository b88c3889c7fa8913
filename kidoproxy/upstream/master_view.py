"""Which server is the master, by the word of its sentinels.

                 most name A                    fewer than most name one
    ┌─────────┐ ────────────► ┌────────────┐ ──────────────────────────► ┌─────────────┐
    │ unknown │               │ agreed (A) │                             │ kept (A)    │
    └─────────┘               └────────────┘ ◄────────────────────────── └─────────────┘
                               most name B: it moves       most name A or B

Most means more than half of those that are configured, whether they answer or not: a sentinel that is cut off, was set
up anew or lies moves nobody. Each has one vote, its last word, for as long as it is connected. Where no address has
most votes the master that is known stays: sentinels that are down cost nothing.
"""

from typing import Final, final

from kidoproxy.resp.scan import parse_int64

UNKNOWN: Final = 0
AGREED: Final = 1
KEPT: Final = 2
STATE_NAMES: Final = ("unknown", "agreed", "kept")
#: By state: the states that may come next.
MOVES: Final = ((AGREED,), (AGREED, KEPT), (AGREED,))

#: RFC 1035; Sentinel itself takes no longer one.
MAX_HOST_BYTES: Final = 255


@final
class Master:
    """Where a server listens, as sentinels announce it: a host or an IP address, and a port. A value."""

    def __init__(self, host: str, port: int) -> None:
        self.host: Final = host
        self.port: Final = port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_master(host: bytes, port: bytes) -> Master | None:
    """The address in a sentinel's words; None for what can be none."""
    number = parse_int64(port) if len(port) <= 5 else None
    if number is None or not 0 < number < 65536 or not 0 < len(host) <= MAX_HOST_BYTES:
        return None
    text = host.decode("latin-1")
    if not text.isascii() or not text.isprintable() or not set(text).isdisjoint(" /@,[]"):
        return None
    return Master(text.lower(), number)


@final
class MasterView:
    """What ``count`` sentinels say, and what follows; see the module."""

    def __init__(self, count: int) -> None:
        self.state: int = UNKNOWN
        self.master: Master | None = None
        #: The last word of each: an address, None if it knows no such master.
        self.votes: list[Master | None] = [None] * count
        self.has_answered: list[bool] = [False] * count
        #: Why each gives none, as a person would read it.
        self.causes: list[str] = ["not asked yet"] * count
        #: Answers that could be none, and connections that were lost or could not be had.
        self.failures = 0

    def on_answer(self, index: int, master: Master | None) -> bool:
        """A sentinel has spoken; None: it knows no master of this name. Whether the master has moved by that."""
        self.votes[index] = master
        self.has_answered[index] = True
        self.causes[index] = "" if master is not None else "it knows no master of this name"
        return self.decide()

    def on_silence(self, index: int, cause: str) -> None:
        """A sentinel cannot be asked; it has no vote until it can."""
        self.votes[index] = None
        self.has_answered[index] = False
        self.causes[index] = cause
        self.failures += 1
        self.decide()

    def decide(self) -> bool:
        """Count the votes; whether the master has moved, or is known for the first time."""
        winner = self.winner()
        if winner is None:
            if self.state == AGREED:
                self.move_to(KEPT)
            return False
        previous = self.master
        self.master = winner
        if self.state != AGREED:
            self.move_to(AGREED)
        return previous is None or str(previous) != str(winner)

    def winner(self) -> Master | None:
        """The address that most of the configured sentinels name."""
        counts: dict[str, int] = {}
        for vote in self.votes:
            if vote is not None:
                counts[str(vote)] = counts.get(str(vote), 0) + 1
                if 2 * counts[str(vote)] > len(self.votes):
                    return vote
        return None

    def move_to(self, state: int) -> None:
        """The next state; RuntimeError if `MOVES` does not have that move."""
        if state not in MOVES[self.state]:
            raise RuntimeError(f"{self!r} cannot become {STATE_NAMES[state]}")
        self.state = state

    def is_settled(self) -> bool:
        """Whether all that answer name the master that is known."""
        voting_count = len([vote for vote in self.votes if vote is not None])
        return self.state == AGREED and self.agreeing_count() == voting_count

    def agreeing_count(self) -> int:
        """How many name the master that is known."""
        return len([vote for vote in self.votes if vote is not None and str(vote) == str(self.master)])

    def describe(self) -> str:
        """The state in a few words: ``agreed, 3 of 3 sentinels``."""
        return f"{STATE_NAMES[self.state]}, {self.agreeing_count()} of {len(self.votes)} sentinels"

    def why_unknown(self) -> str:
        """Why there is no master, with the first cause that a sentinel has given."""
        answered = self.has_answered.count(True)
        causes = [cause for cause in self.causes if cause]
        first = f": {causes[0]}" if causes else ""
        return f"most of its sentinels name no master, {answered} of {len(self.votes)} have answered{first}"

    def __repr__(self) -> str:
        return f"<master {self.master} {self.describe()}>"
