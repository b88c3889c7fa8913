"""The mark that says whose the copies of a pool are: the name of a connection, as a node's CLIENT LIST shows it.

A mark lives as long as its connection; it is no key, so clients see nothing of it. A node may have very many clients,
so its list is read as it comes (`ClientList`) and never held as a whole.
"""

from typing import Final, final

from kidoproxy.resp.scan import parse_int64

OWNER: Final = b"kidoproxy-owner"
CLAIM: Final = b"kidoproxy-claim"
#: How the field of such a connection begins in CLIENT LIST.
NAME_FIELD: Final = b" name=kidoproxy-"
#: Term, start, id, machine, pid, the start of that process, host, pool.
FIELD_COUNT: Final = 9
MAX_FIELD_CHARS: Final = 64
#: From then on a connection that says nothing looks lost; each is tested every second.
SILENT_SECONDS: Final = 5
#: The first bytes of replies that are strings of some length; how RESP3 says that this one is a text.
STRING_TYPES: Final = b"$="
TEXT_PREFIX: Final = b"txt:"
#: So much of a line is looked at: a mark stands at its beginning, whatever name another client has given itself.
MAX_LINE_BYTES: Final = 4096
#: So many marks of one node are looked at. One is usual, and some more while another proxy tries to start.
MAX_MARKS: Final = 64


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
        #: So many seconds ago the node has heard it last. One that lives says something every second.
        self.idle_seconds = 0

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
        return (self.started_ms, self.proxy_id, self.pool) < (other.started_ms, other.proxy_id, other.pool)

    def is_same(self, other: "OwnerMark") -> bool:
        """Whether the other one is ours. Another pool of this process would write to the copies in its own order."""
        return (self.proxy_id, self.pool) == (other.proxy_id, other.pool)

    def process(self) -> str:
        """Which process on which machine."""
        return f"process {self.pid} on {self.host}"

    def describe(self) -> str:
        """As an operator looks for it."""
        return f"{self.process()} (pool.{self.pool}, from {self.address})"

    def silence(self) -> str:
        """Whether it looks lost, for an operator who has to decide; empty if it does not."""
        if self.idle_seconds < SILENT_SECONDS:
            return ""
        return f"it has sent nothing for {self.idle_seconds} s, as one that stands still, or whose host is lost"


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


@final
class ClientList:
    """The marks in a node's reply to CLIENT LIST, of which the pieces come one by one (`add`)."""

    def __init__(self) -> None:
        self.marks: list[OwnerMark] = []
        #: The first byte of the reply, empty before it has come: an error is no list.
        self.kind = b""
        #: The beginning of a line whose end has not come; and whether the middle of it was left out.
        self.line = b""
        self.is_cut = False

    def is_list(self) -> bool:
        return self.kind != b"" and self.kind in STRING_TYPES

    def add(self, piece: bytes) -> None:
        """The next bytes of the reply."""
        self.kind = self.kind or piece[:1]
        end = piece.rfind(b"\n") + 1
        if self.is_cut:
            begin = piece.find(b"\n")
            if begin < 0:
                return
            piece, end = piece[begin:], end - begin
        if end:
            self.find_marks(self.line + piece[:end])
            self.line = b""
        self.line = (self.line + piece[end:])[: MAX_LINE_BYTES + 1]
        self.is_cut = len(self.line) > MAX_LINE_BYTES

    def find_marks(self, text: bytes) -> None:
        """Whole lines, maybe many thousand: only those of proxies are looked at."""
        at = text.find(NAME_FIELD)
        while at >= 0 and len(self.marks) < MAX_MARKS:
            begin = text.rfind(b"\n", 0, at) + 1
            end = text.find(b"\n", at)
            if mark := parse_client(text[begin : min(end, begin + MAX_LINE_BYTES)]):
                self.marks.append(mark)
            at = text.find(NAME_FIELD, end)


def parse_client(line: bytes) -> OwnerMark | None:
    """The mark that a line of CLIENT LIST has; None if it has none, or does not tell the connection's id."""
    words = line.removeprefix(TEXT_PREFIX).rstrip(b"\r").split(b" ")
    fields = {name: value for name, _, value in [word.partition(b"=") for word in words]}
    mark = parse_mark(fields.get(b"name", b""))
    if mark is None or parse_int64(fields.get(b"id", b"")) is None:
        return None
    mark.client_id = fields[b"id"]
    mark.address = name_field(fields.get(b"addr", b"?").decode("latin-1").replace(":", "|")).replace("|", ":")
    mark.idle_seconds = max(parse_int64(fields.get(b"idle", b"")) or 0, 0)
    return mark
