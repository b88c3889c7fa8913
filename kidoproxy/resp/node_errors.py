"""Error replies that are about the node rather than about the request.

Two sets, one within the other. A node that *cannot serve now* will again when it is left alone: it loads, is full,
writes no snapshots, or has lost its master or replicas. A node is *unfit* if it did not run the command for any reason
that another node need not share: that includes a login or a script which this node alone may lack. Neither set holds
errors that every node would give (``-ERR``, ``-WRONGTYPE``).
"""

from typing import Final

from mypy_extensions import mypyc_attr

CANNOT_SERVE_ERRORS: Final[tuple[bytes, ...]] = (
    b"-LOADING",
    b"-OOM",
    b"-MISCONF",
    b"-MASTERDOWN",
    b"-READONLY",
    b"-BUSY ",  # BUSYKEY and BUSYGROUP are about the request
    b"-NOREPLICAS",
)
UNFIT_ERRORS: Final[tuple[bytes, ...]] = (
    *CANNOT_SERVE_ERRORS,
    b"-NOAUTH",
    b"-NOPERM",
    b"-NOSCRIPT",
    b"-EXECABORT",
)


@mypyc_attr(native_class=False)
class NodeErrorReply(bytes):
    """An error reply that a node gave, marked as that where it comes in: it is counted apart from the proxy's own.

    It is passed on as it is. Whatever is made of it, a sentence of the proxy for one, is not marked any more.
    """


def as_node_reply(raw: bytes) -> bytes:
    """A reply that was cut out of a list of a node, marked if it is an error."""
    return NodeErrorReply(raw) if raw[:1] == b"-" else raw


def cannot_serve_now(raw: bytes) -> bool:
    """Whether a reply says that its node is there and cannot serve at the moment: it is as good as down."""
    return raw[:1] == b"-" and raw.startswith(CANNOT_SERVE_ERRORS)


def is_node_unfit(raw: bytes) -> bool:
    """Whether a reply says that its node did not run the command, though another copy of the data might have."""
    return raw[:1] == b"-" and raw.startswith(UNFIT_ERRORS)


def are_same_error(raw: bytes, other: bytes) -> bool:
    """Whether both are errors of one code: each version of the servers has texts of its own."""
    return raw[:1] == b"-" and raw.partition(b" ")[0] == other.partition(b" ")[0]
