"""What an operator wants to read about clients: logins that were refused, and web pages that talk to us.

Each is counted by pool. The first of its kind from an address is told at once; more of the same within `FOLD_MS` become
one line with their number, and all beyond `KINDS` different ones within that time one line for all of them, so
that nobody can fill a disk by guessing.
"""

from typing import Final, final

from kidoproxy import errors

LOGIN: Final = "login failed"
HTTP: Final = "http request"

#: So long repeats are counted before they are told.
FOLD_MS: Final = 10_000
#: So many different ones are told apart in that time.
KINDS: Final = 32
#: Most characters of a user's name in a line.
USER: Final = 64
#: What stands for all that are not told apart.
OTHERS: Final = "(several)"

#: Names of requests that no client of Redis sends. A browser does, and its lines must not run as commands.
WEB: Final = (b"post", b"host:")


def is_web(name: bytes) -> bool:
    """Whether a request of this name comes from a web page, as Redis judges it: up to a NUL, in any case."""
    return len(name) < 4096 and errors.up_to_nul(name).lower() in WEB


def host(address: str) -> str:
    """An address without its port."""
    return address.rpartition(":")[0] or address


def plain(raw: bytes) -> str:
    """A user's name as one word of a line: nothing in it can be taken for another field."""
    text = errors.clean(raw[: 4 * USER].decode("utf-8", "backslashreplace"), USER)
    return text.replace(" ", "_").replace("=", "_") or "-"


@final
class Incident:
    """One kind of one origin; ``count`` have not been told yet."""

    def __init__(self, told_ms: int) -> None:
        self.count = 1
        self.told_ms = told_ms


@final
class Incidents:
    """See the module. ``totals`` count by kind and pool, for ever."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], int] = {}
        #: By what their lines say.
        self.recent: dict[str, Incident] = {}

    def note(self, kind: str, pool: str, user: bytes | None, address: str) -> None:
        """One more."""
        self.totals[kind, pool] = self.totals.get((kind, pool), 0) + 1
        name = "" if user is None else f" user={plain(user)}"
        line = f"{kind}: pool={pool}{name} addr={host(address)}"
        if line not in self.recent and len(self.recent) >= KINDS:
            line = f"{kind}: pool={pool} addr={OTHERS}"
        found = self.recent.get(line)
        if found is None:
            self.recent[line] = Incident(-FOLD_MS)
        else:
            found.count += 1

    def total(self, kind: str, pool: str) -> int:
        """How many there were in this pool."""
        return self.totals.get((kind, pool), 0)

    def lines(self, now_ms: int) -> list[str]:
        """What is to be told now; what has been quiet since it was told is forgotten."""
        told: list[str] = []
        for line, incident in list(self.recent.items()):
            if now_ms - incident.told_ms < FOLD_MS:
                continue
            if incident.count:
                told.append(f"{line} count={incident.count}")
                incident.count = 0
                incident.told_ms = now_ms
            else:
                del self.recent[line]
        return told
