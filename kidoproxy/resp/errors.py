"""Every sentence a user may read in an error, and the four families of blame.

* the client's fault: `ProtocolError` (its bytes are not RESP) and the reply lines below;
* a node's fault: `NodeFailure`, a value that travels in place of a reply;
* the operator's fault: `ConfigError`, a list of one-line problems;
* our own fault: `Bug`.

Each error line starts with a stable code word. Redis's words are used where Redis has one, because
clients have classes for them; the others are plain `ResponseError` to redis-py and are not retried. A pool with
``node_errors = "retry"`` says what is a node's fault behind LOADING: see `errors_loading`.

No sentence is longer than `MOST` characters, and none holds a control character: names, keys and what a node
has said are cleaned and cut, the words around them are not.
"""

from typing import Final

from mypy_extensions import mypyc_attr


@mypyc_attr(native_class=False)
class ProtocolError(Exception):
    """The peer's bytes are not RESP. ``line`` is the whole reply that Redis would send before it hangs up."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reply = b"-ERR Protocol error: " + text.encode("latin-1", "replace") + b"\r\n"


@mypyc_attr(native_class=False)
class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` has one line per mistake: ``file: place: what, hint``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@mypyc_attr(native_class=False)
class Bug(Exception):
    """A promise between our own rooms was broken; always worth a report."""


#: Most characters of one sentence, and of what a node has said.
MAX_SENTENCE_CHARS: Final = 200
#: Most characters of a node's name, and of its address, in a sentence that says more.
MAX_NAME_CHARS: Final = 40
MAX_ADDRESS_CHARS: Final = 60
#: Most bytes of a client's word in a sentence that shows two.
MAX_WORD_BYTES: Final = 48

NODEDOWN: Final = "NODEDOWN"
TIMEOUT: Final = "TIMEOUT"
OVERLOADED: Final = "OVERLOADED"
#: The node has answered, and we could make nothing of it.
BADREPLY: Final = "BADREPLY"


class NodeFailure:
    """Why a node gave no reply: code word, node name, address, cause; whether the command may have run there."""

    def __init__(self, code: str, node: str, address: str, cause: str, may_have_run: bool) -> None:
        self.code = code
        self.node = node
        self.address = address
        self.cause = cause
        self.may_have_run = may_have_run

    def error_reply(self, is_write: bool) -> bytes:
        """The error reply; of a write that may have run it says that its outcome is unknown."""
        tail = "); the write may have run, its outcome is unknown" if is_write and self.may_have_run else ")"
        return error_reply_around(
            f"{self.code} {truncate(self.node, MAX_NAME_CHARS)} {truncate(self.address, MAX_ADDRESS_CHARS)} (",
            self.cause,
            tail,
        )

    def short_reason(self) -> str:
        """The cause in a few words, for the inside of another sentence."""
        return self.cause if self.code == NODEDOWN else f"{self.code.lower()}: {self.cause}"

    def __repr__(self) -> str:
        return f"<{self.code} {self.node}: {self.cause}>"


def error_reply(text: str) -> bytes:
    """An error reply from one sentence, cleaned and cut."""
    return b"-" + sanitize(text).encode("utf-8", "surrogateescape") + b"\r\n"


def error_reply_around(head: str, middle: str, tail: str) -> bytes:
    """An error reply whose end is worth more than its middle: of the three parts ``inner`` is cut."""
    return error_reply(head + truncate(middle, MAX_SENTENCE_CHARS - len(head) - len(tail)) + tail)


def truncate(text: str, max_chars: int) -> str:
    """At most so many characters; one that is longer ends in dots."""
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."


def sanitize(text: str, max_chars: int = MAX_SENTENCE_CHARS) -> str:
    """At most so many characters, each of which can be seen; bytes that are no UTF-8 stay as they are."""
    short = truncate(text, max_chars)
    if short.isprintable():
        return short
    return "".join([c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in short])


def sanitize_bytes(raw: bytes) -> str:
    """What a node has said, for an error, a log line or a page."""
    return sanitize(raw[: 4 * MAX_SENTENCE_CHARS].decode("utf-8", "backslashreplace"))


def decode_wire(raw: bytes) -> str:
    """Bytes from the wire as they may stand in an error sentence."""
    return raw.decode("utf-8", "surrogateescape")


def unknown_command(argv: list[bytes]) -> bytes:
    """As ``commandCheckExistence`` of Redis says it: at most 128 bytes of name and of arguments, each up to a NUL."""
    shown = b""
    for arg in argv[1:]:
        if len(shown) >= 128:
            break
        shown += b"'%b' " % up_to_nul(arg[: 128 - len(shown)])
    name = up_to_nul(argv[0][:128])
    return error_reply(f"ERR unknown command '{decode_wire(name)}', with args beginning with: {decode_wire(shown)}")


def truncate_word(raw: bytes) -> str:
    """A client's word beside others: its first bytes."""
    return decode_wire(raw if len(raw) <= MAX_WORD_BYTES else raw[: MAX_WORD_BYTES - 3] + b"...")


def up_to_nul(raw: bytes) -> bytes:
    """What C's ``%s`` shows of it."""
    return raw.partition(b"\0")[0]


def unknown_subcommand(argv: list[bytes]) -> bytes:
    """As Redis says it for a container command."""
    name = decode_wire(argv[0]).upper()
    return error_reply(f"ERR unknown subcommand '{decode_wire(up_to_nul(argv[1][:128]))}'. Try {name} HELP.")


def wrong_arity(name: bytes) -> bytes:
    """``name`` is the full lower-case name, a subcommand's with its bar: ``config|get``."""
    return error_reply(f"ERR wrong number of arguments for '{decode_wire(name)}' command")


def cross_slot(name: bytes, first: bytes, violating: bytes) -> bytes:
    """Several keys that do not meet on one node. The code word is Redis's: clients have a class for it."""
    return error_reply(
        f"CROSSSLOT Keys in request don't hash to the same node (command='{truncate_word(name[:24])}', "
        f"first-key='{truncate_word(first)}', violating-key='{truncate_word(violating)}')"
    )


def not_served(name: bytes, reason: str) -> bytes:
    """A command that this pool does not serve, and the reason."""
    return error_reply(f"ERR '{truncate_word(name)}' is not served here: {reason}")


def partial_write(name: bytes, failed: int, unknown: int, total: int, unit: str, node_name: str, cause: str) -> bytes:
    """A split write that was applied in part; ``unit`` is what is counted: keys, nodes.

    Of those that failed so many are ``unknown``: their node was asked and gave no answer, they may have been applied.
    """
    where = truncate(node_name, MAX_NAME_CHARS)
    head = f"PARTIAL '{truncate_word(name)}' failed for {failed} of {total} {unit} on {where} ("
    tail = f"); {total - failed} applied" + (f", {unknown} may have been applied" if unknown else "")
    return error_reply_around(head, cause, tail)


def external_key_pattern(name: bytes, pattern: bytes) -> bytes:
    """SORT with a pattern: it would read keys that may live on other nodes."""
    return error_reply(
        f"ERR '{truncate_word(name)}' with the pattern '{truncate_word(pattern)}' "
        "reads keys that may live on other nodes; "
        "use BY nosort or GET # only, or one {tag}"
    )


def script_names_no_keys(name: bytes, called: str) -> bytes:
    """A script without keys that calls a command which needs one: nobody knows which node is meant."""
    return error_reply(
        f"ERR '{truncate_word(name)}' names no keys, but its script calls '{truncate(called, MAX_WORD_BYTES)}'; "
        "pass the keys as KEYS, "
        "so that the proxy knows their node"
    )


def script_not_analysable(name: bytes, reason: str) -> bytes:
    """A script on a ring that hides what it calls, or cannot be read."""
    return not_served(name, f"{truncate(reason, 90)}; call redis.call by that name, with its KEYS")


def script_call_forbidden(name: bytes, called: bytes) -> bytes:
    """A script that calls what its user may not."""
    return error_reply(
        f"NOPERM this user has no permissions to run the '{truncate_word(called)}' command, "
        f"which the script of '{truncate_word(name)}' calls"
    )


def script_calls_whole_node(name: bytes, called: bytes) -> bytes:
    """A script on a ring that calls what speaks of a whole node."""
    reason = "which would see one node of several; send that command itself, or give it a pattern of one {tag}"
    return not_served(name, f"its script calls '{truncate_word(called)}', {reason}")


def script_key_elsewhere(name: bytes, called: bytes, key: bytes) -> bytes:
    """A script on a ring that goes past its keys; the code word is the one for keys that do not meet."""
    return error_reply(
        f"CROSSSLOT '{truncate_word(name)}' calls '{truncate_word(called[:20])}' with '{truncate_word(key)}', "
        "not where its KEYS are; "
        "declare it, or keep the names in one {tag} or `together`"
    )


def copy_behind(node: str) -> bytes:
    """In a list of each node's replies: this copy is not read until it is synced."""
    return error_reply(f"BEHIND {truncate(node, MAX_NAME_CHARS)} is not in sync; it gets writes and is not read")


def too_few_copies(copy_names: list[str], min_in_sync: int) -> bytes:
    """A write that stands on fewer copies than ``min_in_sync`` because copies failed under way."""
    return error_reply_around(
        "NOREPLICAS write stands on ", ", ".join(copy_names), f" only, {min_in_sync} copies are wanted"
    )


NOPERM_KEY: Final = b"-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
NOPERM_CHANNEL: Final = b"-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
NOAUTH: Final = b"-NOAUTH Authentication required.\r\n"
WRONGPASS: Final = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPROTO: Final = b"-NOPROTO unsupported protocol version\r\n"
SYNTAX: Final = b"-ERR syntax error\r\n"
NOT_INTEGER: Final = b"-ERR value is not an integer or out of range\r\n"
NOT_INT32: Final = b"-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
INVALID_CURSOR: Final = b"-ERR invalid cursor\r\n"
BAD_DB: Final = b"-ERR DB index is out of range\r\n"
NOT_IN_MULTI: Final = b"-ERR Command not allowed inside a transaction\r\n"
REPLY_IN_MULTI: Final = b"-ERR Command 'client|reply' not allowed inside a transaction\r\n"
NESTED_MULTI: Final = b"-ERR MULTI calls can not be nested\r\n"
EXEC_WITHOUT_MULTI: Final = b"-ERR EXEC without MULTI\r\n"
DISCARD_WITHOUT_MULTI: Final = b"-ERR DISCARD without MULTI\r\n"
UNBLOCKED: Final = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
WATCH_IN_MULTI: Final = b"-ERR WATCH inside MULTI is not allowed\r\n"
#: What Redis says to a client in the midst of MONITOR.
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
MAX_CLIENTS: Final = b"-ERR max number of clients reached\r\n"
NO_PASSWORD_SET: Final = (
    b"-ERR AUTH <password> called without any password configured for the default user. "
    b"Are you sure your configuration is correct?\r\n"
)


def exec_aborted(cause: bytes) -> bytes:
    """EXEC of a transaction whose node has refused one of its commands."""
    return error_reply(f"EXECABORT Transaction discarded because of: {decode_wire(cause)}")


def multi_refused(cause: bytes) -> bytes:
    """EXEC of a transaction whose node has refused MULTI, and took what followed as it came."""
    return error_reply_around(
        "ERR the node refused MULTI (", decode_wire(cause), "); the commands may have run one by one"
    )


# -- what Redis says about CLIENT and HELLO ----------------------------------------------------------

BAD_PROTO: Final = b"-ERR Protocol version is not an integer or out of range\r\n"
HELLO_NOAUTH: Final = (
    b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
    b"<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
    b"same time\r\n"
)
BAD_CLIENT_NAME: Final = b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
BAD_CLIENT_ID: Final = b"-ERR Invalid client ID\r\n"
BAD_KILL_ID: Final = b"-ERR client-id should be greater than 0\r\n"
BAD_MAXAGE: Final = b"-ERR maxage is not an integer or out of range\r\n"
NOT_POSITIVE_MAXAGE: Final = b"-ERR maxage should be greater than 0\r\n"
NO_SUCH_CLIENT: Final = b"-ERR No such client\r\n"
BAD_UNBLOCK_REASON: Final = b"-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"
BAD_TIMEOUT: Final = b"-ERR timeout is not an integer or out of range\r\n"
NEGATIVE_TIMEOUT: Final = b"-ERR timeout is negative\r\n"
BAD_PAUSE_MODE: Final = b"-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"
PAUSE_ARITY: Final = b"-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"
CACHING_WITHOUT_TRACKING: Final = (
    b"-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n"
)
NO_CLUSTER: Final = b"-ERR This instance has cluster support disabled\r\n"


def hello_option(option: bytes) -> bytes:
    """HELLO with an option that it does not have, or half of one."""
    return error_reply(f"ERR Syntax error in HELLO option '{decode_wire(option[:128])}'")


def bad_client_info(option: bytes) -> bytes:
    """CLIENT SETINFO with a value that would break the lines of CLIENT LIST."""
    return error_reply(f"ERR {decode_wire(option[:128])} cannot contain spaces, newlines or special characters.")


def unknown_client_option(option: bytes) -> bytes:
    """CLIENT SETINFO of something else."""
    return error_reply(f"ERR Unrecognized option '{decode_wire(option[:128])}'")


def unknown_client_type(word: bytes) -> bytes:
    """CLIENT LIST or KILL with a TYPE that Redis does not have either."""
    return error_reply(f"ERR Unknown client type '{decode_wire(word[:128])}'")


def no_such_user(name: bytes) -> bytes:
    """CLIENT KILL USER of somebody who is not a user of this pool."""
    return error_reply(f"ERR No such user '{decode_wire(name[:128])}'")


# -- what Redis says about users -----------------------------------------------------------------------

BAD_GENPASS_BITS: Final = (
    b"-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096\r\n"
)


def no_permission(name: bytes) -> bytes:
    """A command that the user may not run; ``name`` is its full name."""
    return error_reply(f"NOPERM this user has no permissions to run the '{decode_wire(name)}' command")


def sort_denied(option: str) -> bytes:
    """SORT with an option that may read any key, from a user who may not."""
    return error_reply(f"ERR {option} option of SORT denied due to insufficient ACL permissions.")


def wrong_subcommand(argv: list[bytes]) -> bytes:
    """Too many arguments for a subcommand that takes some."""
    name = decode_wire(argv[0]).upper()
    sub = decode_wire(up_to_nul(argv[1][:128]))
    return error_reply(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {name} HELP.")


def unknown_category(name: bytes) -> bytes:
    """ACL CAT of something else."""
    return error_reply(f"ERR Unknown category '{decode_wire(name[:128])}'")


def user_not_found(name: bytes) -> bytes:
    """ACL DRYRUN for somebody who is not a user of this pool."""
    return error_reply(f"ERR User '{decode_wire(name[:128])}' not found")


def command_not_found(name: bytes) -> bytes:
    """ACL DRYRUN of a command that is not known."""
    return error_reply(f"ERR Command '{decode_wire(name[:128])}' not found")


# -- channels --------------------------------------------------------------------------------------------


def subscriber_mode_only(name: bytes) -> bytes:
    """A RESP2 client that has subscribed, and asks for something else."""
    return error_reply(
        f"ERR Can't execute '{decode_wire(name[:24])}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are "
        "allowed in this context"
    )


def subscription_not_confirmed(name: bytes) -> bytes:
    """A node that answers a subscription with neither a confirmation nor an error."""
    return error_reply(f"ERR the node did not confirm the subscription to '{decode_wire(name[:128])}'")


#: Why a node that knows no HELLO cannot be listened to.
RESP3_REQUIRED: Final = "it has no RESP3, in which the proxy listens: Redis 6 or newer has it"


# -- our own command PROXY -----------------------------------------------------------------------------


def unknown_node(name: bytes, names: list[str]) -> bytes:
    """PROXY NODE or PROXY SYNC with a name that is none of this pool's nodes."""
    return error_reply(f"ERR unknown node '{truncate_word(name)}'; the nodes of this pool are: {', '.join(names)}")


def not_for_one_node(name: bytes, reason: str) -> bytes:
    """PROXY NODE with a command that must not go to one node."""
    return error_reply(f"ERR '{truncate_word(name)}' cannot be sent to one node: {reason}")


def not_for_each(name: bytes, reason: str) -> bytes:
    """PROXY EACH with a command that no node is asked for, or only one."""
    return error_reply(f"ERR '{truncate_word(name)}' cannot be asked of each node: {reason}")


def sync_refused(node: str, reason: str) -> bytes:
    """PROXY SYNC that cannot begin."""
    return error_reply(f"ERR no sync of '{truncate(node, MAX_NAME_CHARS)}': {reason}")
