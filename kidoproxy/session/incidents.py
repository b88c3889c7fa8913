"""Incidents that an operator wants to know: failed logins, and HTTP requests to a Redis port.

Each is counted by kind and pool. The first of its kind from an address is logged at once; more of the same within
`FOLD_INTERVAL_MS` become one line with their number, and all beyond `MAX_RECENT` different ones within that time one
line together, so that nobody can fill a disk by guessing passwords.
"""

from typing import Final, final

from kidoproxy.resp import errors
from kidoproxy.resp.log_event import LogEvent

LOGIN_FAILED: Final = "login failed"
HTTP_REQUEST: Final = "http request"
TLS_FAILED: Final = "tls handshake failed"
#: A client's certificate is good, and names no user.
CERTIFICATE_REFUSED: Final = "no user of this certificate"
#: A client speaks TLS where nobody does.
TLS_TO_PLAIN: Final = "tls to a plain listener"

#: How long repeats are counted before they are logged.
FOLD_INTERVAL_MS: Final = 10_000
#: How many different ones get a line of their own in that time.
MAX_RECENT: Final = 32
#: Most characters of a user's name in a line.
MAX_USER_CHARS: Final = 64
#: The address in the line for all others.
SEVERAL_ADDRESSES: Final = "(several)"

#: Names of requests that no client of Redis sends. A browser does, and its lines must not run as commands.
HTTP_NAMES: Final = (b"post", b"host:")


def is_http_request(name: bytes) -> bool:
    """Whether a request of this name comes from a web page, by Redis's rule: up to a NUL, in any case."""
    return len(name) < 4096 and errors.up_to_nul(name).lower() in HTTP_NAMES


def strip_port(address: str) -> str:
    """An address without its port."""
    return address.rpartition(":")[0] or address


def format_user(raw: bytes) -> str:
    """A user's name as one word of a line: nothing in it can be taken for another field."""
    text = errors.sanitize(raw[: 4 * MAX_USER_CHARS].decode("utf-8", "backslashreplace"), MAX_USER_CHARS)
    return text.replace(" ", "_").replace("=", "_") or "-"


@final
class Incident:
    """One kind of one origin, with the fields of its line; ``unlogged_count`` have not been logged yet."""

    def __init__(self, kind: str, fields: dict[str, object], logged_ms: int) -> None:
        self.kind = kind
        self.fields = fields
        self.unlogged_count = 1
        self.logged_ms = logged_ms


@final
class Incidents:
    """See the module. ``totals`` count by kind and pool, for ever."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], int] = {}
        #: By what their lines say.
        self.recent_by_line: dict[str, Incident] = {}

    def record(self, kind: str, pool_name: str, user: bytes | None, address: str, cause: str = "") -> None:
        """One more."""
        self.totals[kind, pool_name] = self.totals.get((kind, pool_name), 0) + 1
        fields: dict[str, object] = {"pool": pool_name}
        if user is not None:
            fields["user"] = format_user(user)
        fields["addr"] = strip_port(address)
        if cause:
            fields["cause"] = cause
        line = str(LogEvent(kind, fields))
        if line not in self.recent_by_line and len(self.recent_by_line) >= MAX_RECENT:
            fields = {"pool": pool_name, "addr": SEVERAL_ADDRESSES}
            line = str(LogEvent(kind, fields))
        incident = self.recent_by_line.get(line)
        if incident is None:
            self.recent_by_line[line] = Incident(kind, fields, -FOLD_INTERVAL_MS)
        else:
            incident.unlogged_count += 1

    def total(self, kind: str, pool_name: str) -> int:
        """How many there were in this pool."""
        return self.totals.get((kind, pool_name), 0)

    def take_due_events(self, now_ms: int) -> list[LogEvent]:
        """What is to be logged now; what has been quiet since it was logged is forgotten."""
        due_events: list[LogEvent] = []
        for line, incident in list(self.recent_by_line.items()):
            if now_ms - incident.logged_ms < FOLD_INTERVAL_MS:
                continue
            if incident.unlogged_count:
                due_events.append(LogEvent(incident.kind, {**incident.fields, "count": incident.unlogged_count}))
                incident.unlogged_count = 0
                incident.logged_ms = now_ms
            else:
                del self.recent_by_line[line]
        return due_events
