"""The code words of error replies, as closed sets: what counters are kept by.

Every error begins with a word that clients know it by. Those of the proxy's own errors are all here; nodes and their
modules may say anything, so of theirs the well-known ones have a name, and all others are `OTHER`.
"""

from typing import Final

OTHER: Final = "other"

#: What an error of the proxy itself begins with; BEHIND stands in lists alone, and `OTHER` would be a bug.
PROXY_CODES: Final[tuple[str, ...]] = (
    "ERR",
    "NODEDOWN",
    "TIMEOUT",
    "OVERLOADED",
    "BADREPLY",
    "PARTIAL",
    "CROSSSLOT",
    "NOREPLICAS",
    "BEHIND",
    "MISCONF",
    "LOADING",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOPROTO",
    "NOSCRIPT",
    "EXECABORT",
    "UNBLOCKED",
    OTHER,
)

#: What an error of a node begins with, as far as it has a series of its own.
NODE_CODES: Final[tuple[str, ...]] = (
    "ERR",
    "WRONGTYPE",
    "OOM",
    "BUSY",
    "BUSYKEY",
    "BUSYGROUP",
    "NOGROUP",
    "NOTBUSY",
    "UNKILLABLE",
    "LOADING",
    "MISCONF",
    "MASTERDOWN",
    "READONLY",
    "NOREPLICAS",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOPROTO",
    "NOSCRIPT",
    "EXECABORT",
    "UNBLOCKED",
    "DENIED",
    "INPROG",
    "MOVED",
    "ASK",
    "CROSSSLOT",
    "CLUSTERDOWN",
    "TRYAGAIN",
    OTHER,
)

#: A word that is longer is none.
MAX_CODE_BYTES: Final = 32
LOADING_PREFIX: Final = b"-LOADING "


def code_word(raw: bytes) -> str:
    """The first word of an error reply."""
    return raw[1 : 1 + MAX_CODE_BYTES].partition(b" ")[0].strip().decode("ascii", "replace")


def proxy_code(raw: bytes) -> str:
    """The code of an error that the proxy made; a failure behind LOADING (``node_errors = "retry"``) has its own."""
    code = code_word(raw)
    if code == "LOADING":
        behind = code_word(raw[len(LOADING_PREFIX) - 1 :])
        code = behind if behind in PROXY_CODES else code
    return code if code in PROXY_CODES else OTHER


def node_code(raw: bytes) -> str:
    """The code of an error that a node gave."""
    code = code_word(raw)
    return code if code in NODE_CODES else OTHER
