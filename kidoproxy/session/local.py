"""What the proxy answers without a node: it must answer even when all of them are down."""

from typing import TYPE_CHECKING

from kidoproxy import errors
from kidoproxy.commands.answers import command_answer
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.session import acl

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


def answer(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> bytes:
    """The reply to a command that reaches no node."""
    name = spec.name
    if name == b"ping":
        return ping(argv, session.confined)
    if name == b"echo":
        return build.bulk(argv[1])
    if name == b"time":
        return time(session.house.wall_ms)
    if name == b"lastsave":
        return build.integer(session.house.started_ms // 1000)
    if name == b"role":
        return build.array([build.bulk(b"master"), build.integer(0), build.array([])])
    if name in (b"readonly", b"readwrite"):
        return errors.NO_CLUSTER
    if name.startswith(b"acl|"):
        return acl.answer(session, name, argv)
    return command_answer(argv, session.proto)


def ping(argv: list[bytes], confined: bool) -> bytes:
    """PONG, or what the client said; in the shape of a message where nothing else is expected."""
    if len(argv) > 2:
        return errors.wrong_arity(b"ping")
    if confined:
        return build.array([build.bulk(b"pong"), build.bulk(b"".join(argv[1:]))])
    return build.PONG if len(argv) == 1 else build.bulk(argv[1])


def time(wall_ms: int) -> bytes:
    """Seconds and microseconds; our clock counts milliseconds."""
    return build.array([build.bulk(b"%d" % (wall_ms // 1000)), build.bulk(b"%d" % (wall_ms % 1000 * 1000))])
