"""The error replies that clients read, and the four families of errors by whose fault they are.

* the client's: `ProtocolError` (its bytes are not RESP) and the replies below;
* a node's: `NodeFailure`, a value that travels in place of a reply;
* the operator's: `ConfigError`, a list of one-line problems;
* our own: `InternalError`.

Each reply begins with a stable code word. Redis's code words are used where Redis has one, because clients have classes
for them; the others are plain `ResponseError` to redis-py and are not retried. In a pool with ``node_errors = "retry"``
the errors that are a node's fault begin with LOADING: see `kidoproxy.resp.loading`.

No sentence has more than `MAX_SENTENCE_CHARS` characters, and none a control character: names, keys and what a node has
said are cleaned and truncated, the words around them are not. `client_errors` and `replication_errors` do the same.
"""

from typing import Final

from mypy_extensions import mypyc_attr


@mypyc_attr(native_class=False)
class ProtocolError(Exception):
    """The peer's bytes are not RESP. ``reply`` is what Redis would send before it closes the connection."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reply = b"-ERR Protocol error: " + text.encode("latin-1", "replace") + b"\r\n"


@mypyc_attr(native_class=False)
class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` has one line per mistake: ``file: table.key: what, hint``.

    What a line quotes from the file cannot end it, nor do anything to a terminal.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = [escape_unprintable(problem) for problem in problems]
        super().__init__("\n".join(self.problems))


@mypyc_attr(native_class=False)
class InternalError(Exception):
    """A contract between our own packages was broken; always worth a report."""


#: Characters of one sentence, and of what a node has said in a log line.
MAX_SENTENCE_CHARS: Final = 200
#: Characters of a node's name and of its address in a sentence that says more.
MAX_NAME_CHARS: Final = 40
MAX_ADDRESS_CHARS: Final = 60
#: Bytes of a client's word in a sentence that shows two.
MAX_WORD_BYTES: Final = 48

NODEDOWN: Final = "NODEDOWN"
TIMEOUT: Final = "TIMEOUT"
OVERLOADED: Final = "OVERLOADED"
#: The node has answered, and its reply could not be handled.
BADREPLY: Final = "BADREPLY"


class NodeFailure:
    """Why there is no reply of a node; ``may_have_run`` if the command may have been executed there all the same."""

    def __init__(self, code: str, node: str, address: str, cause: str, may_have_run: bool) -> None:
        self.code = code
        self.node = node
        self.address = address
        self.cause = cause
        self.may_have_run = may_have_run

    def error_reply(self, is_write: bool) -> bytes:
        """The error for the client; for a write that may have run it says that the outcome is unknown."""
        tail = "); the write may have run, its outcome is unknown" if is_write and self.may_have_run else ")"
        return error_reply_around(
            f"{self.code} {truncate(self.node, MAX_NAME_CHARS)} {truncate(self.address, MAX_ADDRESS_CHARS)} (",
            self.cause,
            tail,
        )

    def short_reason(self) -> str:
        """The cause in a few words, as a part of another sentence."""
        return self.cause if self.code == NODEDOWN else f"{self.code.lower()}: {self.cause}"

    def __repr__(self) -> str:
        return f"<{self.code} {self.node}: {self.cause}>"


def error_reply(text: str) -> bytes:
    """An error reply of one sentence, cleaned and truncated."""
    return b"-" + sanitize(text).encode("utf-8", "surrogateescape") + b"\r\n"


def error_reply_around(head: str, middle: str, tail: str) -> bytes:
    """An error reply whose end matters: only ``middle`` is truncated."""
    return error_reply(head + truncate(middle, MAX_SENTENCE_CHARS - len(head) - len(tail)) + tail)


def truncate(text: str, max_chars: int) -> str:
    """At most ``max_chars`` characters; a longer text ends in dots."""
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."


def escape_unprintable(text: str) -> str:
    """The whole text in one line: ``\\x1b`` and the like for control characters, ends of lines, marks of direction."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text])


def sanitize(text: str, max_chars: int = MAX_SENTENCE_CHARS) -> str:
    """At most ``max_chars`` characters, all printable; bytes that are not UTF-8 (surrogate escapes) are kept."""
    short = truncate(text, max_chars)
    if short.isprintable():
        return short
    return "".join([c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in short])


def sanitize_bytes(raw: bytes) -> str:
    """What a node has said, for an error, a log line or the admin page."""
    return sanitize(raw[: 4 * MAX_SENTENCE_CHARS].decode("utf-8", "backslashreplace"))


def decode_wire(raw: bytes) -> str:
    """Bytes of a peer as text; `error_reply` writes the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def unknown_command(argv: list[bytes]) -> bytes:
    """In the words of Redis's ``commandCheckExistence``: 128 bytes of name and of arguments, each up to a NUL."""
    shown = b""
    for arg in argv[1:]:
        if len(shown) >= 128:
            break
        shown += b"'%b' " % up_to_nul(arg[: 128 - len(shown)])
    name = up_to_nul(argv[0][:128])
    return error_reply(f"ERR unknown command '{decode_wire(name)}', with args beginning with: {decode_wire(shown)}")


def truncate_word(raw: bytes) -> str:
    """The first bytes of a client's word, for a sentence that shows several."""
    return decode_wire(raw if len(raw) <= MAX_WORD_BYTES else raw[: MAX_WORD_BYTES - 3] + b"...")


def up_to_nul(raw: bytes) -> bytes:
    """What C's ``%s`` prints of it."""
    return raw.partition(b"\0")[0]


def unknown_subcommand(argv: list[bytes]) -> bytes:
    """In Redis's words for a container command; ``argv`` is the whole request."""
    name = decode_wire(argv[0]).upper()
    return error_reply(f"ERR unknown subcommand '{decode_wire(up_to_nul(argv[1][:128]))}'. Try {name} HELP.")


def wrong_arity(name: bytes) -> bytes:
    """``name`` is the full lower-case name, for a subcommand with its bar: ``config|get``."""
    return error_reply(f"ERR wrong number of arguments for '{decode_wire(name)}' command")


def cross_slot(name: bytes, first: bytes, violating: bytes) -> bytes:
    """Keys that are not on one node. The code word is Redis's, as clients have a class for it."""
    return error_reply(
        f"CROSSSLOT Keys in request don't hash to the same node (command='{truncate_word(name[:24])}', "
        f"first-key='{truncate_word(first)}', violating-key='{truncate_word(violating)}')"
    )


def not_served(name: bytes, reason: str) -> bytes:
    return error_reply(f"ERR '{truncate_word(name)}' is not served here: {reason}")


def partial_write(name: bytes, failed: int, unknown: int, total: int, unit: str, node_name: str, cause: str) -> bytes:
    """A split write that failed for some of its keys or nodes (``unit``).

    ``unknown`` of the ``failed`` ones may have been applied: their node was asked and gave no answer. Node and cause
    are those of the first failure.
    """
    where = truncate(node_name, MAX_NAME_CHARS)
    head = f"PARTIAL '{truncate_word(name)}' failed for {failed} of {total} {unit} on {where} ("
    tail = f"); {total - failed} applied" + (f", {unknown} may have been applied" if unknown else "")
    return error_reply_around(head, cause, tail)


def silent_workers(name: bytes, silent: list[int], total: int, done: str) -> bytes:
    """What every worker has to do, and these have not said that they have; ``done``: by the others, or empty."""
    who = ", ".join([str(worker) for worker in silent])
    tail = f"; {done}" if done else ""
    return error_reply(
        f"PARTIAL '{truncate_word(name)}' reached {total - len(silent)} of {total} workers (no answer from {who}){tail}"
    )


def replies_mismatch(beginnings: str) -> bytes:
    """Replies of several nodes that cannot be merged; ``beginnings`` shows how each of them begins."""
    return error_reply(f"ERR the nodes' replies do not fit together: {beginnings}")


def cursor_overflow(node_cursor: bytes) -> bytes:
    """A node's SCAN cursor that is too large to be combined with the number of the node."""
    return error_reply(
        f"ERR cursor overflow: a node's own cursor {sanitize_bytes(node_cursor)} leaves no room for the node"
    )


def external_key_pattern(name: bytes, pattern: bytes) -> bytes:
    """SORT with BY or GET: it would read keys that may be on other nodes."""
    return error_reply(
        f"ERR '{truncate_word(name)}' with the pattern '{truncate_word(pattern)}' "
        "reads keys that may live on other nodes; "
        "use BY nosort or GET # only, or one {tag}"
    )


SYNTAX: Final = b"-ERR syntax error\r\n"
NOT_INTEGER: Final = b"-ERR value is not an integer or out of range\r\n"
INVALID_CURSOR: Final = b"-ERR invalid cursor\r\n"
INVALID_COMMAND: Final = b"-ERR Invalid command specified\r\n"
INVALID_ARGUMENT_COUNT: Final = b"-ERR Invalid number of arguments specified for command\r\n"
INVALID_ARGUMENTS: Final = b"-ERR Invalid arguments specified for command\r\n"
NO_KEY_ARGUMENTS: Final = b"-ERR The command has no key arguments\r\n"
NOT_IN_MULTI: Final = b"-ERR Command not allowed inside a transaction\r\n"
REPLY_IN_MULTI: Final = b"-ERR Command 'client|reply' not allowed inside a transaction\r\n"
NESTED_MULTI: Final = b"-ERR MULTI calls can not be nested\r\n"
EXEC_WITHOUT_MULTI: Final = b"-ERR EXEC without MULTI\r\n"
DISCARD_WITHOUT_MULTI: Final = b"-ERR DISCARD without MULTI\r\n"
UNBLOCKED: Final = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
WATCH_IN_MULTI: Final = b"-ERR WATCH inside MULTI is not allowed\r\n"
#: What Redis says to a client in MONITOR.
IN_MONITOR_MODE: Final = b"-ERR Replica can't interact with the keyspace\r\n"
NO_LIVE_NODE: Final = b"-NODEDOWN no node of this pool can be reached\r\n"
EXECABORT: Final = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
EXECABORT_ARITY: Final = (
    b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
)
NOSCRIPT: Final = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
STARTING_UP: Final = b"-LOADING kidoproxy is looking at its copies\r\n"
NO_COPY_IN_SYNC: Final = b"-NOREPLICAS No copy is in sync to be read.\r\n"
NOREPLICAS: Final = b"-NOREPLICAS Not enough good replicas to write.\r\n"
NO_CLUSTER: Final = b"-ERR This instance has cluster support disabled\r\n"
MAX_CLIENTS: Final = b"-ERR max number of clients reached\r\n"


def transaction_not_run(raw: bytes) -> bytes:
    """A node answered EXEC with fewer replies than it was sent commands; ``raw`` is its answer."""
    return error_reply(f"ERR the transaction was not run on its node: {raw[:24]!r}")


def exec_aborted(cause: bytes) -> bytes:
    """EXEC of a transaction whose node refused one of its commands; ``cause`` is that error."""
    return error_reply(f"EXECABORT Transaction discarded because of: {decode_wire(cause)}")


def multi_refused(cause: bytes) -> bytes:
    """EXEC of a transaction whose node refused MULTI, so that it ran the commands one by one."""
    return error_reply_around(
        "ERR the node refused MULTI (", decode_wire(cause), "); the commands may have run one by one"
    )


# -- channels --------------------------------------------------------------------------------------------


def subscriber_mode_only(name: bytes) -> bytes:
    """Another command of a RESP2 client that has subscribed."""
    return error_reply(
        f"ERR Can't execute '{decode_wire(name[:24])}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are "
        "allowed in this context"
    )


def subscription_not_confirmed(name: bytes) -> bytes:
    """A node answered a subscription with neither a confirmation nor an error."""
    return error_reply(f"ERR the node did not confirm the subscription to '{decode_wire(name[:128])}'")


#: Why a node without HELLO cannot be subscribed to.
RESP3_REQUIRED: Final = "it has no RESP3, in which the proxy listens: Redis 6 or newer has it"


# -- our own command PROXY -----------------------------------------------------------------------------


def unknown_node(name: bytes, names: list[str]) -> bytes:
    """PROXY NODE or PROXY SYNC with a name that no node of this pool has."""
    return error_reply(f"ERR unknown node '{truncate_word(name)}'; the nodes of this pool are: {', '.join(names)}")


def not_for_one_node(name: bytes, reason: str) -> bytes:
    """PROXY NODE with a command that must not be sent to a single node."""
    return error_reply(f"ERR '{truncate_word(name)}' cannot be sent to one node: {reason}")


def not_for_each(name: bytes, reason: str) -> bytes:
    """PROXY EACH with a command that is not sent to several nodes."""
    return error_reply(f"ERR '{truncate_word(name)}' cannot be asked of each node: {reason}")


def sync_refused(node: str, reason: str) -> bytes:
    """PROXY SYNC that cannot begin."""
    return error_reply(f"ERR no sync of '{truncate(node, MAX_NAME_CHARS)}': {reason}")


def scrub_refused(pool: str, reason: str) -> bytes:
    """PROXY SCRUB that cannot begin, or end."""
    return error_reply(f"ERR no scrub of '{truncate(pool, MAX_NAME_CHARS)}': {reason}")
