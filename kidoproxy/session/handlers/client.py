"""CLIENT: its subcommands but for KILL, PAUSE and REPLY. A client sees the clients of its own pool.

What is not supported (tracking) is an error that says so, never a closed socket: libraries try it on every
connection and go on without it.
"""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.resp import client_errors, encode, errors
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session import accounting
from kidoproxy.session.base import Answer, Session
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.state import SessionState

#: Redis's types of clients. Here they are normal, or pubsub while they have subscriptions.
CLIENT_TYPES: Final = (b"normal", b"master", b"replica", b"slave", b"pubsub")

HELP: Final = (
    b"CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"GETNAME",
    b"    Return the name of the current connection.",
    b"GETREDIR",
    b"    Return the client ID we are redirecting to when tracking is enabled (never here).",
    b"ID",
    b"    Return the ID of the current connection.",
    b"INFO",
    b"    Return information about the current client connection.",
    b"KILL <ip:port>",
    b"    Kill connection made from <ip:port>.",
    b"KILL <option> <value> [<option> <value> [...]]",
    b"    Kill connections. Options are:",
    b"    * ADDR (<ip:port>|<unixsocket>:0)",
    b"      Kill connections made from the specified address",
    b"    * LADDR (<ip:port>|<unixsocket>:0)",
    b"      Kill connections made to specified local address",
    b"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    b"      Kill connections by type.",
    b"    * USER <username>",
    b"      Kill connections authenticated by <username>.",
    b"    * SKIPME (YES|NO)",
    b"      Skip killing current connection (default: yes).",
    b"    * ID <client-id>",
    b"      Kill connections by client id.",
    b"    * MAXAGE <maxage>",
    b"      Kill connections older than the specified age.",
    b"LIST [options ...]",
    b"    Return information about client connections of this pool. Options:",
    b"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    b"      Return clients of specified type.",
    b"    * ID <client-id> [<client-id> [...]]",
    b"      Return clients of specified IDs.",
    b"NO-EVICT (ON|OFF)",
    b"    Protect current client connection from eviction (no client is evicted here).",
    b"NO-TOUCH (ON|OFF)",
    b"    Noted; the nodes count accesses of all clients alike.",
    b"PAUSE <timeout> [WRITE|ALL]",
    b"    Suspend all, or just write, clients of this pool for <timeout> milliseconds.",
    b"REPLY (ON|OFF|SKIP)",
    b"    Control the replies sent to the current connection.",
    b"SETINFO <option> <value>",
    b"    Set client meta attr. Options are:",
    b"    * LIB-NAME: the client lib name.",
    b"    * LIB-VER: the client lib version.",
    b"SETNAME <name>",
    b"    Assign the name <name> to the current connection.",
    b"TRACKINGINFO",
    b"    Report tracking status for the current connection (always off).",
    b"UNBLOCK <clientid> [TIMEOUT|ERROR]",
    b"    Unblock the specified blocked client.",
    b"UNPAUSE",
    b"    Stop the current client pause, resuming traffic.",
    b"HELP",
    b"    Print this help.",
)


TRACKING_NOT_SERVED: Final = errors.not_served(
    b"client|tracking", "connections to the nodes are shared, so no node can tell which client to invalidate"
)
IMPORT_SOURCE_NOT_SERVED: Final = errors.not_served(
    b"client|import-source", "keys are moved between nodes by their operator"
)


def encode_text(text: str) -> bytes:
    """An address as clients send and receive it."""
    return text.encode("utf-8", "surrogateescape")


def is_valid_attribute(text: bytes) -> bool:
    """Whether it can stand in CLIENT LIST without breaking its lines and fields."""
    return all(33 <= byte <= 126 for byte in text)


def id_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT ID."""
    return encode.integer(session.id)


def info_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT INFO."""
    return encode.verbatim(session.proto, format_client(session, session.proxy.wall_ms))


def help_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT HELP."""
    return encode.array([encode.simple(line) for line in HELP])


def get_name(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT GETNAME."""
    return encode.bulk(session.name) if session.name else encode.null(session.proto)


def set_name(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT SETNAME; an empty name takes the name away."""
    name = argv[2]
    if not is_valid_attribute(name):
        return client_errors.BAD_CLIENT_NAME
    session.name = name
    return encode.OK


def set_info(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT SETINFO LIB-NAME | LIB-VER."""
    option, value = argv[2], argv[3]
    keyword = option.lower()
    if keyword not in (b"lib-name", b"lib-ver"):
        return client_errors.unknown_client_option(option)
    if not is_valid_attribute(value):
        return client_errors.bad_client_info(option)
    if keyword == b"lib-name":
        session.lib_name = value
    else:
        session.lib_ver = value
    return encode.OK


def set_no_evict(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT NO-EVICT: stored and shown in the flags, without other effect."""
    keyword = argv[2].lower()
    if keyword not in (b"on", b"off"):
        return errors.SYNTAX
    session.no_evict = keyword == b"on"
    return encode.OK


def set_no_touch(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT NO-TOUCH: stored and shown in the flags, without other effect."""
    keyword = argv[2].lower()
    if keyword not in (b"on", b"off"):
        return errors.SYNTAX
    session.no_touch = keyword == b"on"
    return encode.OK


def redirection_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT GETREDIR: tracking is off."""
    return encode.integer(-1)


def set_tracking(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT TRACKING: it can only be turned off."""
    return encode.OK if argv[2].lower() == b"off" else TRACKING_NOT_SERVED


def import_source_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT IMPORT-SOURCE: not served."""
    return IMPORT_SOURCE_NOT_SERVED


def caching_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT CACHING: tracking is off."""
    return client_errors.CACHING_WITHOUT_TRACKING


def capabilities_reply(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT CAPA: none of them changes anything here."""
    return encode.OK


def tracking_info(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT TRACKINGINFO: tracking is off."""
    proto = session.proto
    flags = encode.set_of(proto, [encode.bulk(b"off")])
    redirect = [encode.bulk(b"redirect"), encode.integer(-1)]
    return encode.mapping(proto, [encode.bulk(b"flags"), flags, *redirect, encode.bulk(b"prefixes"), encode.array([])])


def unblock_client(proxy: ProxyState, context: PoolContext, argv: list[bytes]) -> bytes:
    """CLIENT UNBLOCK: the nodes end the command that blocks this client; 1 if there was one."""
    if len(argv) > 4:
        return errors.SYNTAX
    reason = argv[3].upper() if len(argv) == 4 else b"TIMEOUT"
    if reason not in (b"TIMEOUT", b"ERROR"):
        return client_errors.BAD_UNBLOCK_REASON
    client_id = parse_int64(argv[2])
    if client_id is None:
        return errors.NOT_INTEGER
    other = proxy.sessions.get(client_id)
    if other is None or other.context is not context or other.blocking_executor is None:
        return encode.integer(0)
    return encode.integer(int(other.blocking_executor.unblock(reason)))


# -- LIST and INFO -----------------------------------------------------------------------------------


def flag_letters(session: SessionState) -> bytes:
    """The field ``flags`` of CLIENT LIST."""
    letters = b""
    if session.monitor is not None:
        letters += b"O"
    if session.is_blocked():
        letters += b"b"
    if session.is_subscriber():
        letters += b"P"
    if session.multi is not None:
        letters += b"x"
    if session.no_evict:
        letters += b"e"
    if session.no_touch:
        letters += b"T"
    return letters or b"N"


def has_type(session: SessionState, keyword: bytes) -> bool:
    """Whether it is a client of this type (`CLIENT_TYPES`)."""
    return keyword == (b"pubsub" if session.is_subscriber() else b"normal")


def subscription_counts(session: SessionState) -> str:
    """Its numbers of channels, patterns and shard channels."""
    names = session.subscriber.names_by_kind if session.subscriber is not None else [{}, {}, {}]
    return f"sub={len(names[CHANNEL])} psub={len(names[PATTERN])} ssub={len(names[SHARD])}"


def format_client(session: SessionState, now_ms: int) -> bytes:
    """One client as one line, in the format of Redis 7. The file descriptor is not known here, so fd is -1."""
    multi = session.multi
    queue_bytes = multi.queue_bytes if multi is not None else 0
    replies = session.replies
    request_bytes = accounting.in_flight_bytes(session) + accounting.suspended_request_bytes(session)
    output_bytes = accounting.output_bytes(session)
    watched_bytes = session.watch.memory_bytes if session.watch is not None else 0
    address_fields = f"id={session.id} addr={session.address} laddr={session.local_address} fd=-1"
    time_fields = f"age={(now_ms - session.created_ms) // 1000} idle={(now_ms - session.last_active_ms) // 1000}"
    watched_count = session.watch.key_count if session.watch is not None else 0
    queued = len(multi.queue) if multi is not None else -1
    multi_fields = f"{subscription_counts(session)} multi={queued} watch={watched_count}"
    query_buffer = f"qbuf={session.reader.buffered_bytes()} qbuf-free=0 argv-mem={request_bytes}"
    memory_fields = f"{query_buffer} multi-mem={queue_bytes + watched_bytes} rbs=0 rbp=0"
    output_fields = f"obl=0 oll={len(replies.out)} omem={output_bytes} tot-mem={accounting.total_bytes(session)}"
    return b"%b name=%b %b flags=%b db=%d %b %b %b events=%b cmd=%b %b lib-name=%b lib-ver=%b\n" % (
        encode_text(address_fields),
        session.name,
        time_fields.encode("ascii"),
        flag_letters(session),
        session.db,
        multi_fields.encode("ascii"),
        memory_fields.encode("ascii"),
        output_fields.encode("ascii"),
        b"rw" if replies.out else b"r",
        session.last_command,
        b"user=%b redir=-1 resp=%d" % (session.user.name, session.proto),
        session.lib_name,
        session.lib_ver,
    )


def pool_clients(proxy: ProxyState, context: PoolContext) -> list[SessionState]:
    """The clients of the same pool, oldest first, without those that are closing."""
    return [other for other in proxy.sessions.values() if other.context is context and not other.closing]


def client_lines(proxy: ProxyState, context: PoolContext, argv: list[bytes]) -> bytes:
    """CLIENT LIST [TYPE type] [ID id …]: the lines as a bulk string, or the error."""
    selected = select_clients(proxy, context, argv)
    if isinstance(selected, bytes):
        return selected
    return encode.bulk(b"".join([format_client(other, proxy.wall_ms) for other in selected]))


def select_clients(proxy: ProxyState, context: PoolContext, argv: list[bytes]) -> list[SessionState] | bytes:
    """The clients that CLIENT LIST is about, or the error."""
    option = argv[2].lower() if len(argv) > 3 else b""
    if option == b"type" and len(argv) == 4:
        if argv[3].lower() not in CLIENT_TYPES:
            return client_errors.unknown_client_type(argv[3])
        return [other for other in pool_clients(proxy, context) if has_type(other, argv[3].lower())]
    if option == b"id":
        client_ids = {parse_int64(text) for text in argv[3:]}
        if None in client_ids:
            return client_errors.BAD_CLIENT_ID
        return [other for other in pool_clients(proxy, context) if other.id in client_ids]
    return pool_clients(proxy, context) if len(argv) == 2 else errors.SYNTAX


ANSWERS: Final[dict[HandlerId, Answer]] = {
    handler_ids.CLIENT_CACHING: caching_reply,
    handler_ids.CLIENT_CAPA: capabilities_reply,
    handler_ids.CLIENT_GETNAME: get_name,
    handler_ids.CLIENT_GETREDIR: redirection_reply,
    handler_ids.CLIENT_HELP: help_reply,
    handler_ids.CLIENT_ID: id_reply,
    handler_ids.CLIENT_IMPORT_SOURCE: import_source_reply,
    handler_ids.CLIENT_INFO: info_reply,
    handler_ids.CLIENT_NO_EVICT: set_no_evict,
    handler_ids.CLIENT_NO_TOUCH: set_no_touch,
    handler_ids.CLIENT_SETINFO: set_info,
    handler_ids.CLIENT_SETNAME: set_name,
    handler_ids.CLIENT_TRACKING: set_tracking,
    handler_ids.CLIENT_TRACKINGINFO: tracking_info,
}
