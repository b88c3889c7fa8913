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
        self.line = b"-ERR Protocol error: " + text.encode("latin-1", "replace") + b"\r\n"


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
MOST: Final = 200
#: Most characters of a node's name, and of its address, in a sentence that says more.
NAME: Final = 40
ADDRESS: Final = 60
#: Most bytes of a client's word in a sentence that shows two.
WORD: Final = 48

NODEDOWN: Final = "NODEDOWN"
TIMEOUT: Final = "TIMEOUT"
OVERLOADED: Final = "OVERLOADED"
#: The node has answered, and we could make nothing of it.
BADREPLY: Final = "BADREPLY"


class NodeFailure:
    """Why a node gave no reply: code word, node name, address, cause; whether the command may have run there."""

    def __init__(self, code: str, node: str, address: str, cause: str, maybe_ran: bool) -> None:
        self.code = code
        self.node = node
        self.address = address
        self.cause = cause
        self.maybe_ran = maybe_ran

    def line(self, write: bool) -> bytes:
        """The error reply; of a write that may have run it says that its outcome is unknown."""
        tail = "); the write may have run, its outcome is unknown" if write and self.maybe_ran else ")"
        return around(f"{self.code} {cut(self.node, NAME)} {cut(self.address, ADDRESS)} (", self.cause, tail)

    def reason(self) -> str:
        """The cause in a few words, for the inside of another sentence."""
        return self.cause if self.code == NODEDOWN else f"{self.code.lower()}: {self.cause}"

    def __repr__(self) -> str:
        return f"<{self.code} {self.node}: {self.cause}>"


def line(text: str) -> bytes:
    """An error reply from one sentence, cleaned and cut."""
    return b"-" + clean(text).encode("utf-8", "surrogateescape") + b"\r\n"


def around(head: str, inner: str, tail: str) -> bytes:
    """An error reply whose end is worth more than its middle: of the three parts ``inner`` is cut."""
    return line(head + cut(inner, MOST - len(head) - len(tail)) + tail)


def cut(text: str, most: int) -> str:
    """At most so many characters; one that is longer ends in dots."""
    return text if len(text) <= most else text[: most - 3] + "..."


def clean(text: str, most: int = MOST) -> str:
    """At most so many characters, each of which can be seen; bytes that are no UTF-8 stay as they are."""
    short = cut(text, most)
    if short.isprintable():
        return short
    return "".join([c if c.isprintable() or 0xDC80 <= ord(c) <= 0xDCFF else " " for c in short])


def said(raw: bytes) -> str:
    """What a node has said, for an error, a log line or a page."""
    return clean(raw[: 4 * MOST].decode("utf-8", "backslashreplace"))


def text(raw: bytes) -> str:
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
    return line(f"ERR unknown command '{text(name)}', with args beginning with: {text(shown)}")


def word(raw: bytes) -> str:
    """A client's word beside others: its first bytes."""
    return text(raw if len(raw) <= WORD else raw[: WORD - 3] + b"...")


def up_to_nul(raw: bytes) -> bytes:
    """What C's ``%s`` shows of it."""
    return raw.partition(b"\0")[0]


def unknown_subcommand(argv: list[bytes]) -> bytes:
    """As Redis says it for a container command."""
    name = text(argv[0]).upper()
    return line(f"ERR unknown subcommand '{text(up_to_nul(argv[1][:128]))}'. Try {name} HELP.")


def wrong_arity(name: bytes) -> bytes:
    """``name`` is the full lower-case name, a subcommand's with its bar: ``config|get``."""
    return line(f"ERR wrong number of arguments for '{text(name)}' command")


def cross_slot(name: bytes, first: bytes, violating: bytes) -> bytes:
    """Several keys that do not meet on one node. The code word is Redis's: clients have a class for it."""
    return line(
        f"CROSSSLOT Keys in request don't hash to the same node (command='{word(name[:24])}', "
        f"first-key='{word(first)}', violating-key='{word(violating)}')"
    )


def denied(name: bytes, why: str) -> bytes:
    """A command that this pool does not serve, and the reason."""
    return line(f"ERR '{word(name)}' is not served here: {why}")


def partial(name: bytes, failed: int, unknown: int, total: int, unit: str, where: str, cause: str) -> bytes:
    """A split write that was applied in part; ``unit`` is what is counted: keys, nodes.

    Of those that failed so many are ``unknown``: their node was asked and gave no answer, they may have been applied.
    """
    head = f"PARTIAL '{word(name)}' failed for {failed} of {total} {unit} on {cut(where, NAME)} ("
    tail = f"); {total - failed} applied" + (f", {unknown} may have been applied" if unknown else "")
    return around(head, cause, tail)


def reaches_outside(name: bytes, pattern: bytes) -> bytes:
    """SORT with a pattern: it would read keys that may live on other nodes."""
    return line(
        f"ERR '{word(name)}' with the pattern '{word(pattern)}' reads keys that may live on other nodes; "
        "use BY nosort or GET # only, or one {tag}"
    )


def names_no_keys(name: bytes, called: str) -> bytes:
    """A script without keys that calls a command which needs one: nobody knows which node is meant."""
    return line(
        f"ERR '{word(name)}' names no keys, but its script calls '{cut(called, WORD)}'; pass the keys as KEYS, "
        "so that the proxy knows their node"
    )


def unseen(name: bytes, why: str) -> bytes:
    """A script on a ring that hides what it calls, or cannot be read."""
    return denied(name, f"{cut(why, 90)}; call redis.call by that name, with its KEYS")


def calls_forbidden(name: bytes, called: bytes) -> bytes:
    """A script that calls what its user may not."""
    return line(
        f"NOPERM this user has no permissions to run the '{word(called)}' command, "
        f"which the script of '{word(name)}' calls"
    )


def whole_node(name: bytes, called: bytes) -> bytes:
    """A script on a ring that calls what speaks of a whole node."""
    why = "which would see one node of several; send that command itself, or give it a pattern of one {tag}"
    return denied(name, f"its script calls '{word(called)}', {why}")


def astray(name: bytes, called: bytes, key: bytes) -> bytes:
    """A script on a ring that goes past its keys; the code word is the one for keys that do not meet."""
    return line(
        f"CROSSSLOT '{word(name)}' calls '{word(called[:20])}' with '{word(key)}', not where its KEYS are; "
        "declare it, or keep the names in one {tag} or `together`"
    )


def behind(node: str) -> bytes:
    """In a list of each node's replies: this copy is not read until it is synced."""
    return line(f"BEHIND {cut(node, NAME)} is not in sync; it gets writes and is not read")


def few_copies(reached: list[str], wanted: int) -> bytes:
    """A write that stands on fewer copies than ``min_in_sync`` because copies failed under way."""
    return around("NOREPLICAS write stands on ", ", ".join(reached), f" only, {wanted} copies are wanted")


NOPERM_KEY: Final = b"-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
NOPERM_CHANNEL: Final = b"-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"
NOAUTH: Final = b"-NOAUTH Authentication required.\r\n"
WRONGPASS: Final = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPROTO: Final = b"-NOPROTO unsupported protocol version\r\n"
SYNTAX: Final = b"-ERR syntax error\r\n"
NOT_INTEGER: Final = b"-ERR value is not an integer or out of range\r\n"
NOT_INT: Final = b"-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
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
MONITORING: Final = b"-ERR Replica can't interact with the keyspace\r\n"
NO_NODE: Final = b"-NODEDOWN no node of this pool can be reached\r\n"
EXECABORT: Final = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
EXEC_ARITY: Final = b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
NOSCRIPT: Final = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
STARTING: Final = b"-LOADING kidoproxy is looking at its copies\r\n"
NO_COPY: Final = b"-NOREPLICAS No copy is in sync to be read.\r\n"
NOREPLICAS: Final = b"-NOREPLICAS Not enough good replicas to write.\r\n"
MAX_CLIENTS: Final = b"-ERR max number of clients reached\r\n"
NO_PASSWORD_SET: Final = (
    b"-ERR AUTH <password> called without any password configured for the default user. "
    b"Are you sure your configuration is correct?\r\n"
)


def aborted(cause: bytes) -> bytes:
    """EXEC of a transaction whose node has refused one of its commands."""
    return line(f"EXECABORT Transaction discarded because of: {text(cause)}")


def not_begun(cause: bytes) -> bytes:
    """EXEC of a transaction whose node has refused MULTI, and took what followed as it came."""
    return around("ERR the node refused MULTI (", text(cause), "); the commands may have run one by one")


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
SMALL_MAXAGE: Final = b"-ERR maxage should be greater than 0\r\n"
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
    return line(f"ERR Syntax error in HELLO option '{text(option[:128])}'")


def bad_client_info(option: bytes) -> bytes:
    """CLIENT SETINFO with a value that would break the lines of CLIENT LIST."""
    return line(f"ERR {text(option[:128])} cannot contain spaces, newlines or special characters.")


def unknown_client_option(option: bytes) -> bytes:
    """CLIENT SETINFO of something else."""
    return line(f"ERR Unrecognized option '{text(option[:128])}'")


def unknown_client_type(word: bytes) -> bytes:
    """CLIENT LIST or KILL with a TYPE that Redis does not have either."""
    return line(f"ERR Unknown client type '{text(word[:128])}'")


def no_such_user(name: bytes) -> bytes:
    """CLIENT KILL USER of somebody who is not a user of this pool."""
    return line(f"ERR No such user '{text(name[:128])}'")


# -- what Redis says about users -----------------------------------------------------------------------

BAD_BITS: Final = (
    b"-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096\r\n"
)


def no_permission(name: bytes) -> bytes:
    """A command that the user may not run; ``name`` is its full name."""
    return line(f"NOPERM this user has no permissions to run the '{text(name)}' command")


def sort_denied(option: str) -> bytes:
    """SORT with an option that may read any key, from a user who may not."""
    return line(f"ERR {option} option of SORT denied due to insufficient ACL permissions.")


def wrong_subcommand(argv: list[bytes]) -> bytes:
    """Too many arguments for a subcommand that takes some."""
    name = text(argv[0]).upper()
    sub = text(up_to_nul(argv[1][:128]))
    return line(f"ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {name} HELP.")


def unknown_category(name: bytes) -> bytes:
    """ACL CAT of something else."""
    return line(f"ERR Unknown category '{text(name[:128])}'")


def user_not_found(name: bytes) -> bytes:
    """ACL DRYRUN for somebody who is not a user of this pool."""
    return line(f"ERR User '{text(name[:128])}' not found")


def command_not_found(name: bytes) -> bytes:
    """ACL DRYRUN of a command that is not known."""
    return line(f"ERR Command '{text(name[:128])}' not found")


# -- channels --------------------------------------------------------------------------------------------


def only_listening(name: bytes) -> bytes:
    """A RESP2 client that has subscribed, and asks for something else."""
    return line(
        f"ERR Can't execute '{text(name[:24])}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context"
    )


def not_confirmed(name: bytes) -> bytes:
    """A node that answers a subscription with neither a confirmation nor an error."""
    return line(f"ERR the node did not confirm the subscription to '{text(name[:128])}'")


#: Why a node that knows no HELLO cannot be listened to.
NO_PUSHES: Final = "it has no RESP3, in which the proxy listens: Redis 6 or newer has it"


# -- our own command PROXY -----------------------------------------------------------------------------


def unknown_node(name: bytes, names: list[str]) -> bytes:
    """PROXY NODE or PROXY SYNC with a name that is none of this pool's nodes."""
    return line(f"ERR unknown node '{word(name)}'; the nodes of this pool are: {', '.join(names)}")


def not_for_one_node(name: bytes, why: str) -> bytes:
    """PROXY NODE with a command that must not go to one node."""
    return line(f"ERR '{word(name)}' cannot be sent to one node: {why}")


def not_for_each(name: bytes, why: str) -> bytes:
    """PROXY EACH with a command that no node is asked for, or only one."""
    return line(f"ERR '{word(name)}' cannot be asked of each node: {why}")


def no_sync(node: str, why: str) -> bytes:
    """PROXY SYNC that cannot begin."""
    return line(f"ERR no sync of '{cut(node, NAME)}': {why}")
