"""Errors about scripts that a pool cannot run. See `kidoproxy.resp.errors` for the rules that all errors keep.

``name`` is the command of the client, such as ``eval``, and ``called`` the command that the script calls.
"""

from typing import Final

from kidoproxy.resp.errors import MAX_WORD_BYTES, error_reply, not_served, truncate, truncate_word

FUNCTION_NOT_FOUND: Final = b"-ERR Function not found\r\n"


def names_no_keys(name: bytes, called: str) -> bytes:
    """A script without KEYS that calls a command with a key: its node is not known."""
    return error_reply(
        f"ERR '{truncate_word(name)}' names no keys, but its script calls '{truncate(called, MAX_WORD_BYTES)}'; "
        "pass the keys as KEYS, "
        "so that the proxy knows their node"
    )


def not_analysable(name: bytes, reason: str) -> bytes:
    """A script on a ring whose calls cannot be determined."""
    return not_served(name, f"{truncate(reason, 90)}; call redis.call by that name, with its KEYS")


def call_forbidden(name: bytes, called: bytes) -> bytes:
    """A script that calls a command which its user may not run."""
    return error_reply(
        f"NOPERM this user has no permissions to run the '{truncate_word(called)}' command, "
        f"which the script of '{truncate_word(name)}' calls"
    )


def calls_whole_node(name: bytes, called: bytes) -> bytes:
    """A script on a ring that calls a command about all keys of its node."""
    reason = "which would see one node of several; send that command itself, or give it a pattern of one {tag}"
    return not_served(name, f"its script calls '{truncate_word(called)}', {reason}")


def key_elsewhere(name: bytes, called: bytes, key: bytes) -> bytes:
    """A script on a ring that uses a key which it does not declare and which is on another node."""
    return error_reply(
        f"CROSSSLOT '{truncate_word(name)}' calls '{truncate_word(called[:20])}' with '{truncate_word(key)}', "
        "not where its KEYS are; "
        "declare it, or keep the names in one {tag} or `together`"
    )
