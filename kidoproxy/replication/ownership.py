"""One writer for a copy pool: a proxy marks the nodes with the name of its ordered connections, and looks for others.

A marker lives as long as its connection, and comes back with the next one; it is no key, so clients see nothing of it.
A proxy first *claims* the copies, and *owns* them once all nodes that it reaches have its name and showed no better
one. Each connection names itself before it asks who else is there, so of two that come at once at least one sees the
other. Both compare in the same way (`OwnerMark.beats`), so one goes on and the other yields:

    higher term (a take-over by hand)  ─►  owns already  ─►  started first, by its own clock  ─►  smaller id

Who owns the copies closes the connections of those that it beats; they notice when they connect again. A proxy that has
yielded serves the pool no more before somebody starts it again: only the other one knows which copies are behind.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.resp.decode import is_error, string_value, type_byte
from kidoproxy.resp.log_event import LogEvent
from kidoproxy.resp.replication_errors import other_owner
from kidoproxy.resp.scan import parse_int64

OWNER: Final = b"kidoproxy-owner"
CLAIM: Final = b"kidoproxy-claim"
#: How the field of such a connection begins in CLIENT LIST.
NAME_FIELD: Final = b" name=kidoproxy-"
#: Term, start, id, machine, pid, the start of that process, host, pool.
FIELD_COUNT: Final = 9
MAX_FIELD_CHARS: Final = 64
#: The first bytes of replies that are strings of some length.
STRING_TYPES: Final = b"$="


@final
class OwnerMark:
    """Who says to own the copies: what stands in the name of a connection.

    ``machine``: the same for processes that see each other's process ids, until the next boot. ``pid_started``: when
    that process began, by the machine's own count, for ids are used again; 0 if it cannot be told.
    """

    def __init__(self, pool: str, proxy_id: str, started_ms: int, host: str, machine: str, pid: int, pid_started: int):
        self.is_owner = False
        self.term = 0
        self.started_ms = started_ms
        self.proxy_id = name_field(proxy_id)
        self.machine = name_field(machine)
        self.pid = pid
        self.pid_started = pid_started
        self.host = name_field(host)
        self.pool = name_field(pool)
        #: Of one found at a node: the connection's id, and where it comes from.
        self.client_id = b""
        self.address = ""

    def encode(self) -> bytes:
        """The name of a connection: printable, without spaces."""
        numbers = f"{self.term}:{self.started_ms}:{self.proxy_id}:{self.machine}:{self.pid}:{self.pid_started}"
        return (OWNER if self.is_owner else CLAIM) + f":{numbers}:{self.host}:{self.pool}".encode()

    def beats(self, other: "OwnerMark") -> bool:
        """Whether this one goes on and the other yields; the same on both sides."""
        if self.term != other.term:
            return self.term > other.term
        if self.is_owner != other.is_owner:
            return self.is_owner
        return (self.started_ms, self.proxy_id) < (other.started_ms, other.proxy_id)

    def process(self) -> str:
        """Which process on which machine."""
        return f"process {self.pid} on {self.host}"

    def describe(self) -> str:
        """As an operator looks for it."""
        return f"{self.process()} (pool.{self.pool}, from {self.address})"


def name_field(text: str) -> str:
    """``text`` as a part of the name of a connection."""
    shown = "".join([char if "!" <= char <= "~" and char != ":" else "_" for char in text[:MAX_FIELD_CHARS]])
    return shown or "?"


def parse_mark(name: bytes) -> OwnerMark | None:
    """The mark that the name of a connection is; None if it is none."""
    fields = name.decode("latin-1").split(":")
    kind = name[: len(OWNER)]
    if len(fields) != FIELD_COUNT or kind not in (OWNER, CLAIM):
        return None
    numbers = [parse_int64(fields[at].encode("latin-1")) for at in (1, 2, 5, 6)]
    term, started_ms, pid, pid_started = [-1 if number is None else number for number in numbers]
    if min(term, started_ms, pid, pid_started) < 0:
        return None
    mark = OwnerMark(fields[8], fields[3], started_ms, fields[7], fields[4], pid, pid_started)
    mark.term = term
    mark.is_owner = kind == OWNER
    return mark


def parse_client_list(text: bytes) -> list[OwnerMark]:
    """The marks in a reply to CLIENT LIST. It may have many thousand lines: only those of proxies are looked at."""
    marks: list[OwnerMark] = []
    at = text.find(NAME_FIELD)
    while at >= 0:
        begin = text.rfind(b"\n", 0, at) + 1
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        fields = {name: value for name, _, value in [field.partition(b"=") for field in text[begin:end].split(b" ")]}
        mark = parse_mark(fields.get(b"name", b""))
        if mark is not None and parse_int64(fields.get(b"id", b"")) is not None:
            mark.client_id = fields[b"id"]
            mark.address = name_field(fields.get(b"addr", b"?").decode("latin-1").replace(":", "|")).replace("|", ":")
            marks.append(mark)
        at = text.find(NAME_FIELD, end)
    return marks


@final
class Ownership:
    """What one proxy knows of who owns the copies of one group.

    ``is_dead``: whether the process that a mark names is known to have ended; what is left of it are connections that
    its node has not closed yet. ``take_over``: an operator's word that another owner has to yield.
    """

    def __init__(self, mark: OwnerMark, take_over: bool, is_dead: Callable[[OwnerMark], bool]) -> None:
        self.mark = mark
        self.take_over = take_over
        self.is_dead = is_dead
        #: All nodes that are reached have the mark, and no better one: the pool may be served.
        self.confirmed = False
        #: Who this proxy has yielded to, for good.
        self.yielded_to: OwnerMark | None = None
        #: Who was found at which node and goes before this proxy; gone when it is not found there any more.
        self.rivals: dict[str, OwnerMark] = {}
        #: How often another proxy was found at a node.
        self.sightings = 0
        self.blind_nodes: list[str] = []
        self.log_events: list[LogEvent] = []

    def connection_name(self) -> bytes:
        """How the ordered connections are called now; empty: they have no name."""
        return b"" if self.yielded_to is not None else self.mark.encode()

    def is_open(self) -> bool:
        """Whether it will be settled soon who owns the copies: another one may go, or a node has not confirmed it."""
        return self.yielded_to is None and not self.confirmed and (self.mark.is_owner or bool(self.rivals))

    def refusal(self) -> bytes:
        """What clients hear after this proxy has yielded."""
        assert self.yielded_to is not None
        return other_owner(self.yielded_to.describe())

    def on_name_reply(self, node: str, raw: bytes) -> None:
        """The reply to our name: a node that does not take it shows us to nobody."""
        if is_error(raw):
            self.on_blind_node(node)

    def on_client_list(self, node: str, raw: bytes, announced: bytes) -> list[bytes]:
        """The clients of ``node``, asked for behind ``announced`` as our name; the ids of those to be closed."""
        if is_error(raw) or type_byte(raw) not in STRING_TYPES:
            self.on_blind_node(node)
            return []
        others = [mark for mark in parse_client_list(string_value(raw)) if mark.proxy_id != self.mark.proxy_id]
        dead = [mark.client_id for mark in others if self.is_dead(mark)]
        living = [mark for mark in others if mark.client_id not in dead]
        if self.take_over and not self.confirmed:
            self.mark.term = max([self.mark.term, *[mark.term + 1 for mark in living]])
        own = self.comparable_mark()
        better = [mark for mark in living if mark.beats(own)]
        self.note_others(node, living)
        if better:
            self.on_beaten(node, better[0])
            return dead
        self.rivals.pop(node, None)
        # One that is closed before it can see what beats it would only come again.
        may_close = own.is_owner and announced == self.connection_name()
        return dead + [mark.client_id for mark in living if may_close]

    def comparable_mark(self) -> OwnerMark:
        """Our own mark as it counts: who is not confirmed yet, claims."""
        own = self.mark
        counts = OwnerMark(own.pool, own.proxy_id, own.started_ms, own.host, own.machine, own.pid, own.pid_started)
        counts.term = own.term
        counts.is_owner = self.confirmed or (self.take_over and own.is_owner)
        return counts

    def note_others(self, node: str, others: list[OwnerMark]) -> None:
        self.sightings += len(others)
        for mark in others:
            fields: dict[str, object] = {"node": node, "host": mark.host, "pid": mark.pid, "address": mark.address}
            if self.rivals.get(node) is None or self.rivals[node].proxy_id != mark.proxy_id:
                self.log_events.append(LogEvent("another proxy", fields))

    def on_beaten(self, node: str, rival: OwnerMark) -> None:
        """Who serves yields at once; who starts may see the other one go."""
        self.rivals[node] = rival
        self.mark.is_owner = False
        if self.confirmed:
            self.yield_to(rival)

    def yield_to(self, rival: OwnerMark) -> None:
        """This proxy does not serve the pool any more."""
        self.confirmed = False
        self.yielded_to = rival
        reason = "one proxy serves a copy pool; stop the other one, or: kidoproxy serve --take-over"
        fields: dict[str, object] = {"host": rival.host, "pid": rival.pid, "address": rival.address}
        self.log_events.append(LogEvent("pool not served", {**fields, "reason": f"{reason} {self.mark.pool}"}))

    def on_blind_node(self, node: str) -> None:
        """Its user may not ask for its clients, or it does not know them: nothing is known about it."""
        self.rivals.pop(node, None)
        if node not in self.blind_nodes:
            self.blind_nodes.append(node)
            reason = "its user may not CLIENT SETNAME and CLIENT LIST: another proxy that writes to it is not noticed"
            self.log_events.append(LogEvent("owner unknown", {"node": node, "reason": reason}))
