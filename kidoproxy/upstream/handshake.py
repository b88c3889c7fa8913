"""The handshake with a node: which requests it has, and what the replies to them come to.

    AUTH / HELLO 3 AUTH ─► SELECT ─► HELLO 2 ─► PING kidoproxy ─► INFO server (dedicated: CLIENT ID; copies: both,
    and CLIENT SETNAME ─► CLIENT LIST, to find other proxies; behind Sentinel: HELLO on each, for the role)

All are sent at once, each only where it is needed, and looked at when all replies are there (`parse_handshake`). What a
connection then does about it is in `kidoproxy.upstream.identity`.
"""

from typing import Final, final

from kidoproxy.replication.owner_marks import ClientList
from kidoproxy.resp import limits
from kidoproxy.resp.decode import (
    error_text,
    is_aggregate,
    is_error,
    is_null,
    items,
    line_text,
    string_value,
    type_byte,
    value_start,
)
from kidoproxy.resp.errors import sanitize_bytes
from kidoproxy.resp.scan import COLON, parse_int64

#: The first bytes of replies that are strings: bulk, simple and verbatim ones.
STRING_TYPES: Final = b"$+="
#: PING has it as its argument: it shows that the replies are those to our requests.
PING_ECHO: Final = b"kidoproxy"
#: Why a connection is given up on which the replies are not those to our requests.
UNSOLICITED_DATA: Final = b"it sends what nobody asked for"
#: Who else is connected.
CLIENT_LIST: Final = [b"CLIENT", b"LIST"]
#: What a server that takes no writes calls itself, in different versions.
REPLICA_ROLES: Final = (b"replica", b"slave")
#: Why a server is not what its sentinels call the master.
NOT_MASTER: Final = b"it is a replica, and its sentinels name no other master yet"
#: Errors of a node that answers INFO, and next to nothing else, for a while.
TEMPORARY_ERRORS: Final = (b"LOADING", b"MASTERDOWN", b"BUSY")


@final
class Login:
    """As whom a connection was, or will be, made: user and password (empty: none)."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password

    def auth_arguments(self) -> list[bytes]:
        """Those of AUTH, which HELLO takes too; none without a password."""
        if not self.password:
            return []
        return [self.user.encode() or b"default", self.password.encode()]

    def redacted_error(self, error: bytes) -> str:
        """An error to the handshake, fit to be shown: a node that does not know AUTH or HELLO repeats the password."""
        shown = error.partition(b", with args beginning with")[0]
        if self.password:
            shown = shown.replace(self.password.encode(), b"***")
        return sanitize_bytes(shown)


@final
class ConnectionOptions:
    """How to talk to a node: user and password (empty: none), deadline in seconds, how many bytes to hold for it.

    All connections to the node share one of these, which may be changed while they are open.
    """

    def __init__(
        self,
        user: str = "",
        password: str = "",
        timeout: float = limits.COMMAND_SECONDS,
        max_queue_bytes: int = limits.CONNECTION_QUEUE_BYTES,
    ) -> None:
        self.login = Login(user, password)
        self.timeout = timeout
        self.max_queue_bytes = max_queue_bytes

    def replace(self, other: "ConnectionOptions") -> None:
        """Be as ``other`` from now on."""
        self.login = other.login
        self.timeout = other.timeout
        self.max_queue_bytes = other.max_queue_bytes


@final
class HandshakeResult:
    """What a node has said. ``refusal``: why it, or the proxy, will not go on; empty when all is well."""

    def __init__(self) -> None:
        self.refusal = b""
        #: The fields of INFO; or else, in ``info_error``, why there are none.
        self.info: dict[bytes, bytes] = {}
        self.info_error = b""
        #: How the node calls this connection.
        self.client_id = b""
        #: Of a copy: what CLIENT LIST shows of other proxies; nothing when it was not asked.
        self.client_list = ClientList()
        #: The reply to CLIENT SETNAME, likewise.
        self.name_reply = b""
        #: Whether it knows HELLO; None when it was not asked.
        self.resp3: bool | None = None
        #: What it calls itself in its reply to HELLO: ``master`` or ``replica``; empty if it does not say.
        self.role = b""

    def refuse(self, reason: bytes) -> None:
        """Note why not to go on; the first reason counts."""
        self.refusal = self.refusal or reason


def handshake_requests(
    login: Login,
    proto: int,
    db: int,
    dedicated: bool,
    is_ordered: bool = False,
    name: bytes = b"",
    needs_role: bool = False,
) -> list[list[bytes]]:
    """Log in, choose protocol and database, ask who is there (on a dedicated connection and for a copy: who we are).

    With a ``name`` the connection is called so, and then asked who else is connected. An echo among them shows that
    each reply is the one to its request: a node may send what nobody asked for. ``needs_role``: every connection says
    HELLO, whose reply tells it.
    """
    requests: list[list[bytes]] = []
    auth = login.auth_arguments()
    if proto == 3:
        requests.append([b"HELLO", b"3", b"AUTH", *auth] if auth else [b"HELLO", b"3"])
    elif auth:
        requests.append([b"AUTH", *auth] if login.user else [b"AUTH", auth[1]])
    if db:
        requests.append([b"SELECT", b"%d" % db])
    if proto == 2 and (needs_role or (not db and not dedicated)):
        # It changes nothing, and tells whether the node knows RESP3.
        requests.append([b"HELLO", b"2"])
    requests.append([b"PING", PING_ECHO])
    if not dedicated:
        requests.append([b"INFO", b"server"])
    if dedicated or is_ordered:
        requests.append([b"CLIENT", b"ID"])
    if name:
        requests += [[b"CLIENT", b"SETNAME", name], CLIENT_LIST]
    return requests


def parse_handshake(requests: list[list[bytes]], replies: list[bytes]) -> HandshakeResult:
    """What the replies come to, one for each request. Only what is needed must be granted: login, mode, echo."""
    result = HandshakeResult()
    for request, raw in zip(requests, replies, strict=True):
        name = request[0]
        if name == b"PING":
            check_echo(result, raw)
        elif name == b"INFO":
            read_info(result, raw)
        elif request == CLIENT_LIST:
            # Its pieces are read as they come (`kidoproxy.upstream.identity`).
            continue
        elif request[:2] == [b"CLIENT", b"SETNAME"]:
            result.name_reply = raw
        elif name == b"CLIENT":
            # A connection can do without its id, if the node's user may not ask for it.
            client_id = parse_int64(line_text(raw, value_start(raw))) if type_byte(raw) == COLON else None
            result.client_id = b"%d" % client_id if client_id is not None else b""
            if client_id is None and not is_error(raw):
                result.refuse(UNSOLICITED_DATA)
        elif request == [b"HELLO", b"2"]:
            # Another error (it wants a login, it is loading) tells nothing of what it knows.
            result.resp3 = False if is_unavailable(raw) else None if is_error(raw) else True
            result.role = role_in(raw)
        elif is_error(raw):
            result.refuse(error_text(raw))
        elif name == b"HELLO":
            result.role = role_in(raw)
    return result


def role_in(raw: bytes) -> bytes:
    """The role in a reply to HELLO; empty if there is none."""
    if is_null(raw) or not is_aggregate(type_byte(raw)):
        return b""
    fields = items(raw)
    for index in range(0, len(fields) - 1, 2):
        name, value = fields[index], fields[index + 1]
        if type_byte(name) in STRING_TYPES and type_byte(value) in STRING_TYPES and string_value(name) == b"role":
            return string_value(value)
    return b""


def check_echo(result: HandshakeResult, raw: bytes) -> None:
    """Reject a wrong or missing echo; but a user may lack PING, and a node that loads answers INFO alone."""
    if type_byte(raw) in STRING_TYPES and string_value(raw) == PING_ECHO:
        return
    if not is_error(raw):
        result.refuse(UNSOLICITED_DATA)
    elif b"ping" not in raw.lower() and not error_text(raw).startswith(TEMPORARY_ERRORS):
        result.refuse(error_text(raw))


def read_info(result: HandshakeResult, raw: bytes) -> None:
    """Who the node is. Some do not tell: their user may not ask, or they have no INFO."""
    if not is_error(raw):
        if type_byte(raw) not in STRING_TYPES:
            result.refuse(UNSOLICITED_DATA)
        else:
            result.info = parse_info(string_value(raw))
    elif is_unavailable(raw):
        result.info_error = error_text(raw)
    else:
        result.refuse(error_text(raw))


def is_unavailable(raw: bytes) -> bool:
    """Whether an error says that this is not to be had, now or later: the node does not know it, or we may not."""
    return is_error(raw) and (is_unknown_command(raw) or error_text(raw).startswith(b"NOPERM"))


def is_unknown_command(raw: bytes) -> bool:
    return b"unknown command" in raw.lower()


def explain_cause(cause: str) -> str:
    """What a node says when it hangs up, and what that means for those who wait."""
    return f"it is full, and nothing was sent to it: {cause}" if "max number of clients" in cause else cause


def info_text(raw: bytes) -> bytes:
    """The text of an INFO reply; empty if the reply is anything else."""
    return string_value(raw) if type_byte(raw) in STRING_TYPES else b""


def parse_info(text: bytes) -> dict[bytes, bytes]:
    """The fields of an INFO text, without its section titles."""
    fields: dict[bytes, bytes] = {}
    for row in text.split(b"\r\n"):
        name, colon, value = row.partition(b":")
        if colon:
            fields[name] = value
    return fields
