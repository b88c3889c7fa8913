"""CLIENT PAUSE: for a while no client of this pool gets any further, or none with a write. Requests wait, none is lost.

Nothing is done per command for it: while a pool is paused its sessions go the long way round, where this is asked.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import errors
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.session import client

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


#: A read that a server counts among the writes here: the count that it keeps may reach the replicas.
REPLICATED: Final = b"pfcount"
#: These carry another command, and where it begins.
CARRIERS: Final[dict[bytes, int]] = {b"proxy|each": 2, b"proxy|node": 3}


def pause(session: "ClientSession", argv: list[bytes]) -> bytes:
    """CLIENT PAUSE milliseconds [WRITE | ALL]; a pause that is under way is only ever made longer and stricter."""
    if len(argv) > 4:
        return errors.PAUSE_ARITY
    word = argv[3].lower() if len(argv) == 4 else b"all"
    if word not in (b"write", b"all"):
        return errors.BAD_PAUSE_MODE
    left = client.integer(argv[2])
    if left is None:
        return errors.BAD_TIMEOUT
    if left < 0:
        return errors.NEGATIVE_TIMEOUT
    pool = session.pool
    pool.only_writes = word == b"write" and (pool.only_writes or not pool.paused_until)
    pool.paused_until = max(pool.paused_until, session.house.wall_ms + left)
    pool.settle(session.house)
    return build.OK


def holds(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request must wait for the end of the pause; its end can always be asked for."""
    pool = session.pool
    if not pool.paused_until or spec.name == b"client|unpause":
        return False
    if not pool.only_writes:
        return True
    queue = session.queue
    if queue is not None:
        return spec.name == b"exec" and any(may_write(queued.spec) for queued in queue)
    if spec.name in CARRIERS:
        _, carried = session.pool.words.meant(argv[CARRIERS[spec.name] :])
        return carried is not None and may_write(carried)
    return may_write(spec)


def may_write(spec: CommandSpec) -> bool:
    """Whether PAUSE … WRITE holds it. Of a script nobody knows, unless it is called by its read-only twin."""
    return spec.write or spec.name == REPLICATED
