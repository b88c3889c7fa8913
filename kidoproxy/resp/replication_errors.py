"""What is said about copies that cannot be told apart, or trusted."""

from kidoproxy.resp.errors import NODEDOWN, NodeFailure, error_reply


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
