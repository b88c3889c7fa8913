"""Every sentence a user may read in an error, and the four families of blame.

* the client's fault: `ProtocolError` (its bytes are not RESP) and the reply lines below;
* a node's fault: `NodeFailure`, a value that travels in place of a reply;
* the operator's fault: `ConfigError`, a list of one-line problems;
* our own fault: `Bug`.

Each error line starts with a stable code word. Redis's words are used where Redis has one, because
clients have classes for them; the others are plain `ResponseError` to redis-py and are not retried.
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


NODEDOWN: Final = "NODEDOWN"
TIMEOUT: Final = "TIMEOUT"
OVERLOADED: Final = "OVERLOADED"


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
        tail = "; the write may have run, its outcome is unknown" if write and self.maybe_ran else ""
        return line(f"{self.code} {self.node} {self.address} ({self.cause}){tail}")


def line(text: str) -> bytes:
    """An error reply from one sentence; line ends inside it become spaces, as Redis does."""
    clean = text.replace("\r", " ").replace("\n", " ")
    return b"-" + clean.encode("utf-8", "surrogateescape") + b"\r\n"


def text(raw: bytes) -> str:
    """Bytes from the wire as they may stand in an error sentence."""
    return raw.decode("utf-8", "surrogateescape")


def unknown_command(argv: list[bytes]) -> bytes:
    """As ``commandCheckExistence`` of Redis says it: at most 128 bytes of name and of arguments."""
    shown = ""
    for arg in argv[1:]:
        if len(shown) >= 128:
            break
        shown += f"'{text(arg[: 128 - len(shown)])}' "
    return line(f"ERR unknown command '{text(argv[0][:128])}', with args beginning with: {shown}")


def unknown_subcommand(argv: list[bytes]) -> bytes:
    """As Redis says it for a container command."""
    name = text(argv[0]).upper()
    return line(f"ERR unknown subcommand '{text(argv[1][:128])}'. Try {name} HELP.")


def wrong_arity(name: bytes) -> bytes:
    """``name`` is the full lower-case name, a subcommand's with its bar: ``config|get``."""
    return line(f"ERR wrong number of arguments for '{text(name)}' command")


def cross_slot(name: bytes, first: bytes, violating: bytes) -> bytes:
    """Several keys that do not meet on one node. The code word is Redis's: clients have a class for it."""
    return line(
        f"CROSSSLOT Keys in request don't hash to the same node (command='{text(name)}', "
        f"first-key='{text(first[:128])}', violating-key='{text(violating[:128])}')"
    )


def denied(name: bytes, why: str) -> bytes:
    """A command that this pool does not serve, and the reason."""
    return line(f"ERR '{text(name)}' is not served here: {why}")


def partial(name: bytes, failed: int, total: int, where: str, cause: str) -> bytes:
    """A split write that was applied in part."""
    return line(
        f"PARTIAL '{text(name)}' failed for {failed} of {total} keys on {where} ({cause}); {total - failed} applied"
    )


NOAUTH: Final = b"-NOAUTH Authentication required.\r\n"
WRONGPASS: Final = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPROTO: Final = b"-NOPROTO unsupported protocol version\r\n"
SYNTAX: Final = b"-ERR syntax error\r\n"
NOT_INTEGER: Final = b"-ERR value is not an integer or out of range\r\n"
INVALID_CURSOR: Final = b"-ERR invalid cursor\r\n"
BAD_DB: Final = b"-ERR DB index is out of range\r\n"
BAD_DB_INDEX: Final = b"-ERR invalid DB index\r\n"
NESTED_MULTI: Final = b"-ERR MULTI calls can not be nested\r\n"
EXEC_WITHOUT_MULTI: Final = b"-ERR EXEC without MULTI\r\n"
DISCARD_WITHOUT_MULTI: Final = b"-ERR DISCARD without MULTI\r\n"
EXECABORT: Final = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
NOREPLICAS: Final = b"-NOREPLICAS Not enough good replicas to write.\r\n"
MAX_CLIENTS: Final = b"-ERR max number of clients reached\r\n"
NO_PASSWORD_SET: Final = (
    b"-ERR AUTH <password> called without any password configured for the default user. "
    b"Are you sure your configuration is correct?\r\n"
)
