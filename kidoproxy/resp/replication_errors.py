"""Errors about the copies of a pool: which of them are in sync, and which can be trusted."""

from typing import Final

from kidoproxy.resp.errors import (
    MAX_NAME_CHARS,
    NODEDOWN,
    NodeFailure,
    error_reply,
    error_reply_around,
    not_served,
    truncate,
    truncate_word,
)

#: Why something was not begun that waits for its turn at its keys.
KEYS_BUSY: Final = "earlier commands on its keys are not decided yet"
TOO_MANY_WAIT: Final = "too many commands wait for others on the same keys"


def same_server_cause(other: str) -> str:
    """Why a node is refused that has the run id of another node of its pool."""
    return f"it is the same server as {other} (one run id); name each server once"


def no_trusted_copy(name: str, reason: str, others: list[str]) -> bytes:
    """No copy is known to hold everything; an operator may order that one is trusted all the same."""
    shown = ", ".join(others)
    return error_reply(
        f"NOREPLICAS no copy can be trusted: {name} {reason}, and {shown[:60]} may hold more; bring it back, or say: "
        f"kidoproxy sync --trust {name}"
    )


def trust_lost(node: str, address: str, cause: str) -> bytes:
    """The only trusted copy has lost its server; ``cause`` is empty if it has come back since."""
    cause = cause or "it was restarted, and what the copies hold is looked at"
    return NodeFailure(NODEDOWN, node, address, cause, False).error_reply(False)


def other_owner(owner: str) -> bytes:
    """Another proxy serves these copies: this one neither reads nor writes them."""
    return error_reply_around("NOREPLICAS nothing was sent: these copies are served by the kidoproxy of ", owner, "")


def copy_behind(node: str) -> bytes:
    """In place of the reply of a copy that is behind, in a list of each node's replies."""
    return error_reply(f"BEHIND {truncate(node, MAX_NAME_CHARS)} is not in sync; it gets writes and is not read")


def record_unwritable(pool: str, cause: str) -> bytes:
    """A write that was not sent: after a crash of the proxy nobody would know which copies have missed it."""
    return error_reply(
        f"MISCONF nothing was written: the record of {truncate(pool, MAX_NAME_CHARS)}'s copies cannot be put on disk "
        f"({truncate(cause, MAX_NAME_CHARS)})"
    )


def too_few_copies(copy_names: list[str], min_in_sync: int) -> bytes:
    """A write that fewer than ``min_in_sync`` copies have, because others failed meanwhile."""
    return error_reply_around(
        "NOREPLICAS the write was applied on ", ", ".join(copy_names), f" only, {min_in_sync} copies are wanted"
    )


def effect_too_large(name: bytes, max_bytes: int) -> bytes:
    """A write that the leader would decide, after which the others would have to be sent more than that."""
    return not_served(name, f"its keys are larger than {max_bytes >> 20} MiB, which the other copies would be sent")


def not_with_leader(name: bytes, decided: bytes) -> bytes:
    """EXEC of a transaction that the leader would have to decide, of which one command cannot be told to others."""
    return error_reply(
        f"EXECABORT Transaction discarded because '{truncate_word(name)}' cannot be in one transaction with "
        f"'{truncate_word(decided)}', which the leader of its keys decides: others could not be told what it changes"
    )
