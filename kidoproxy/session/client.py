"""CLIENT: who is connected, as Redis tells it. A client sees the clients of its own pool, which is its one Redis.

What Redis has and we do not (tracking) gets an error reply that says so, never a closed socket:
clients try these at every connection and go on without them.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import errors
from kidoproxy.channels.topics import CHANNEL, PATTERN, SHARD
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.session import account

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: Redis's kinds of clients; ours are of the first, or of the last while they have subscribed.
TYPES: Final = (b"normal", b"master", b"replica", b"slave", b"pubsub")
LARGEST: Final = (1 << 63) - 1

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


def answer(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> bytes:
    """The reply to one CLIENT subcommand; CLIENT REPLY is the session's own business."""
    name = spec.name
    if name == b"client|id":
        return build.integer(session.id)
    if name == b"client|setinfo":
        return set_info(session, argv[2], argv[3])
    if name == b"client|setname":
        return set_name(session, argv[2])
    if name == b"client|getname":
        return build.bulk(session.name) if session.name else build.null(session.proto)
    if name == b"client|info":
        return build.verbatim(session.proto, described(session))
    if name == b"client|list":
        return listed(session, argv)
    if name == b"client|help":
        return build.array([build.simple(line) for line in HELP])
    return answer_odd(session, name, argv)


def answer_odd(session: "ClientSession", name: bytes, argv: list[bytes]) -> bytes:
    """The switches that mean little here, and what is not served."""
    if name in (b"client|no-evict", b"client|no-touch"):
        return switch(session, name, argv[2].lower())
    if name == b"client|getredir":
        return build.integer(-1)
    if name == b"client|trackinginfo":
        return tracking_info(session.proto)
    if name == b"client|tracking" and argv[2].lower() == b"off":
        return build.OK
    if name == b"client|caching":
        return errors.CACHING_WITHOUT_TRACKING
    if name == b"client|unblock":
        return unblock(session, argv)
    if name == b"client|capa":
        return build.OK
    return errors.denied(name, NOT_SERVED.get(name, "clients cannot ask this of the proxy"))


NOT_SERVED: Final[dict[bytes, str]] = {
    b"client|tracking": "links to the nodes are shared, so no node can tell which client to invalidate",
    b"client|import-source": "keys are moved between nodes by their operator",
}


def integer(text: bytes) -> int | None:
    """A whole number as Redis reads one: no sign but a minus, no leading zero, 64 bits."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[:1] == b"0" and text != b"0"):
        return None
    value = int(text)
    return value if -LARGEST - 1 <= value <= LARGEST else None


def wire(text: str) -> bytes:
    """An address as it is written on the wire, and as clients name it."""
    return text.encode("utf-8", "surrogateescape")


def is_clean(text: bytes) -> bool:
    """Whether it can stand in CLIENT LIST without breaking its lines and fields."""
    return all(33 <= byte <= 126 for byte in text)


def set_name(session: "ClientSession", name: bytes) -> bytes:
    """CLIENT SETNAME; an empty name takes the name away."""
    if not is_clean(name):
        return errors.BAD_CLIENT_NAME
    session.name = name
    return build.OK


def set_info(session: "ClientSession", option: bytes, value: bytes) -> bytes:
    """CLIENT SETINFO LIB-NAME | LIB-VER."""
    word = option.lower()
    if word not in (b"lib-name", b"lib-ver"):
        return errors.unknown_client_option(option)
    if not is_clean(value):
        return errors.bad_client_info(option)
    if word == b"lib-name":
        session.lib_name = value
    else:
        session.lib_ver = value
    return build.OK


def switch(session: "ClientSession", name: bytes, word: bytes) -> bytes:
    """NO-EVICT and NO-TOUCH: noted, and shown in the flags."""
    if word not in (b"on", b"off"):
        return errors.SYNTAX
    if name == b"client|no-evict":
        session.no_evict = word == b"on"
    else:
        session.no_touch = word == b"on"
    return build.OK


def tracking_info(proto: int) -> bytes:
    """Tracking is off."""
    flags = build.setof(proto, [build.bulk(b"off")])
    redirect = [build.bulk(b"redirect"), build.integer(-1)]
    return build.mapping(proto, [build.bulk(b"flags"), flags, *redirect, build.bulk(b"prefixes"), build.array([])])


def unblock(session: "ClientSession", argv: list[bytes]) -> bytes:
    """CLIENT UNBLOCK: the nodes let go of what waits there for that client, and answer it; 1 if there was anything."""
    if len(argv) > 4:
        return errors.SYNTAX
    reason = argv[3].upper() if len(argv) == 4 else b"TIMEOUT"
    if reason not in (b"TIMEOUT", b"ERROR"):
        return errors.BAD_UNBLOCK_REASON
    number = integer(argv[2])
    if number is None:
        return errors.NOT_INTEGER
    other = session.house.sessions.get(number)
    if other is None or other.pool is not session.pool or other.blocked is None:
        return build.integer(0)
    return build.integer(int(other.blocked.unblock(reason)))


# -- LIST and INFO -----------------------------------------------------------------------------------


def is_blocked(session: "ClientSession") -> bool:
    """Whether it waits in a command that its node has, or for the end of CLIENT PAUSE."""
    wire = session.blocked
    return (wire is not None and wire.asked()) or session.id in session.pool.held


def flags(session: "ClientSession") -> bytes:
    """Redis's letters."""
    letters = b""
    if session.monitor is not None:
        letters += b"O"
    if is_blocked(session):
        letters += b"b"
    if is_listening(session):
        letters += b"P"
    if session.queue is not None:
        letters += b"x"
    if session.no_evict:
        letters += b"e"
    if session.no_touch:
        letters += b"T"
    return letters or b"N"


def is_listening(session: "ClientSession") -> bool:
    """Whether it has subscribed to anything."""
    return session.subscriber is not None and session.subscriber.total() > 0


def is_of_type(session: "ClientSession", word: bytes) -> bool:
    """Whether it is of this kind of Redis's."""
    return word == (b"pubsub" if is_listening(session) else b"normal")


def subscriptions(session: "ClientSession") -> str:
    """How many channels, patterns and shard channels it has subscribed to."""
    names = session.subscriber.names if session.subscriber is not None else [{}, {}, {}]
    return f"sub={len(names[CHANNEL])} psub={len(names[PATTERN])} ssub={len(names[SHARD])}"


def described(session: "ClientSession") -> bytes:
    """One client as one line, in the format of Redis 7; a socket's number is not known here, so fd is -1."""
    now = session.house.wall_ms
    queue = session.queue
    ledger = session.ledger
    asked = account.under_way(session) + account.parked_bytes(session)
    unread = account.unread_bytes(session)
    watched_bytes = session.watch.bytes if session.watch is not None else 0
    address = f"id={session.id} addr={session.address} laddr={session.local} fd=-1"
    times = f"age={(now - session.created_ms) // 1000} idle={(now - session.active_ms) // 1000}"
    watched = session.watch.count if session.watch is not None else 0
    multi = f"{subscriptions(session)} multi={len(queue) if queue is not None else -1} watch={watched}"
    held = f"qbuf={session.reader.buffered()} qbuf-free=0 argv-mem={asked}"
    memory = f"{held} multi-mem={session.queue_bytes + watched_bytes} rbs=0 rbp=0"
    output = f"obl=0 oll={len(ledger.out)} omem={unread} tot-mem={account.total_bytes(session)}"
    return b"%b name=%b %b flags=%b db=%d %b %b %b events=%b cmd=%b %b lib-name=%b lib-ver=%b\n" % (
        wire(address),
        session.name,
        times.encode("ascii"),
        flags(session),
        session.db,
        multi.encode("ascii"),
        memory.encode("ascii"),
        output.encode("ascii"),
        b"rw" if ledger.out else b"r",
        session.last_command,
        b"user=%b redir=-1 resp=%d" % (session.user.name, session.proto),
        session.lib_name,
        session.lib_ver,
    )


def neighbours(session: "ClientSession") -> "list[ClientSession]":
    """The clients of the same pool, oldest first; who has been killed or has said QUIT is one no more."""
    return [other for other in session.house.sessions.values() if other.pool is session.pool and not other.closing]


def listed(session: "ClientSession", argv: list[bytes]) -> bytes:
    """CLIENT LIST [TYPE type] [ID id …]."""
    chosen = listed_clients(session, argv)
    if isinstance(chosen, bytes):
        return chosen
    return build.verbatim(session.proto, b"".join([described(other) for other in chosen]))


def listed_clients(session: "ClientSession", argv: list[bytes]) -> "list[ClientSession] | bytes":
    """Those that are meant, or the error."""
    option = argv[2].lower() if len(argv) > 3 else b""
    if option == b"type" and len(argv) == 4:
        if argv[3].lower() not in TYPES:
            return errors.unknown_client_type(argv[3])
        return [other for other in neighbours(session) if is_of_type(other, argv[3].lower())]
    if option == b"id":
        numbers = {integer(text) for text in argv[3:]}
        if None in numbers:
            return errors.BAD_CLIENT_ID
        return [other for other in neighbours(session) if other.id in numbers]
    return neighbours(session) if len(argv) == 2 else errors.SYNTAX
