"""Which commands the login of a copy may not run that the proxy needs there, for ``kidoproxy check``.

Each is tried, in a way that changes nothing: with an id that no connection has, a value that is none, a key that is not
there. A login that may touch some keys only is no mistake.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError, RedisError

#: Larger than the id of any connection.
NO_CLIENT: Final = 2**63 - 1
#: The first version that tells a key's expiry as a moment.
MOMENT_VERSION: Final = (7, 0)
#: How a server says that it is the command, and not the key, that is not permitted.
COMMAND_REFUSED: Final = "command"
NOPERM: Final = "NOPERM"


@dataclass(frozen=True, slots=True)
class Trial:
    """A command that the proxy needs: ``name`` as a person knows it, and what it cannot do without."""

    name: str
    request: tuple[str | int, ...]
    consequence: str


def trials(key: str, version: tuple[int, ...]) -> list[Trial]:
    """All of them; ``key`` is not there."""
    late = "a late write of a connection that was given up may reach it"
    unseen = "another proxy that writes to it is not noticed"
    unsynced = "it can be neither compared nor synced"
    expiry = "PEXPIRETIME" if version >= MOMENT_VERSION else "PTTL"
    return [
        Trial("CLIENT ID", ("CLIENT", "ID"), late),
        Trial("CLIENT KILL", ("CLIENT", "KILL", "ID", NO_CLIENT), f"{late}, and --take-over does not close the other"),
        Trial("CLIENT SETNAME", ("CLIENT", "SETNAME", ""), unseen),
        Trial("CLIENT LIST", ("CLIENT", "LIST", "ID", NO_CLIENT), unseen),
        Trial("DBSIZE", ("DBSIZE",), "an election does not know how much it holds"),
        Trial("SCAN", ("SCAN", 0, "MATCH", key, "COUNT", 1), unsynced),
        Trial("EXISTS", ("EXISTS", key), unsynced),
        Trial("DUMP", ("DUMP", key), unsynced),
        Trial(expiry, (expiry, key), unsynced),
        Trial("RESTORE", ("RESTORE", key, 0, "no value"), unsynced),
        Trial("UNLINK", ("UNLINK", key), unsynced),
        Trial("MULTI", ("MULTI",), unsynced),
        Trial("EXEC", ("EXEC",), unsynced),
    ]


def missing_permissions(client: redis.Redis, version: tuple[int, ...]) -> list[str]:
    """One line for each command that is refused; nothing if the node stops answering."""
    tried = trials(f"kidoproxy:check:{secrets.token_hex(8)}", version)
    pipeline: Any = client.pipeline(transaction=False)
    for trial in tried:
        pipeline.execute_command(*trial.request)
    try:
        replies = pipeline.execute(raise_on_error=False)
    except (RedisError, OSError):
        return []
    return [
        f"its user may not {trial.name}: {trial.consequence}"
        for trial, reply in zip(tried, replies, strict=True)
        if is_refused(reply)
    ]


def is_refused(reply: object) -> bool:
    """Whether it is the command that is not permitted; of EXEC, which ends a transaction, it is said otherwise."""
    is_permission = isinstance(reply, NoPermissionError) or (isinstance(reply, RedisError) and NOPERM in str(reply))
    return is_permission and COMMAND_REFUSED in str(reply).lower()
