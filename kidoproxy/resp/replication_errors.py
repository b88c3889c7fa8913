"""What is said about copies that cannot be told apart, or trusted."""

from kidoproxy.resp.errors import MAX_NAME_CHARS, NODEDOWN, NodeFailure, error_reply, error_reply_around, truncate


def same_server_cause(other: str) -> str:
    """Why a node is refused whose run id is that of another node of its pool."""
    return f"it is the same server as {other} (one run id); name each server once"


def no_trusted_copy(name: str, reason: str, others: list[str]) -> bytes:
    """No copy is known to hold everything; a person may say that one is trusted all the same."""
    shown = ", ".join(others)
    return error_reply(
        f"NOREPLICAS no copy can be trusted: {name} {reason}, and {shown[:60]} may hold more; bring it back, or say: "
        f"kidoproxy sync --trust {name}"
    )


def trust_lost(node: str, address: str, cause: str) -> bytes:
    """The last copy that was trusted has lost its server; ``cause`` is empty when it is back."""
    cause = cause or "it was restarted, and what the copies hold is looked at"
    return NodeFailure(NODEDOWN, node, address, cause, False).error_reply(False)


def copy_behind(node: str) -> bytes:
    """In a list of each node's replies: this copy is not read until it is synced."""
    return error_reply(f"BEHIND {truncate(node, MAX_NAME_CHARS)} is not in sync; it gets writes and is not read")


def too_few_copies(copy_names: list[str], min_in_sync: int) -> bytes:
    """A write that stands on fewer copies than ``min_in_sync`` because copies failed under way."""
    return error_reply_around(
        "NOREPLICAS write stands on ", ", ".join(copy_names), f" only, {min_in_sync} copies are wanted"
    )
