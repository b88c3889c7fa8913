"""Commands that the proxy answers without a node, so that they work even when all nodes are down."""

from kidoproxy.commands.command_reply import command_reply
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import encode, errors
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import acl


def local_reply(session: Session, spec: CommandSpec, argv: list[bytes]) -> bytes:
    """The reply to a command that reaches no node."""
    name = spec.name
    if name == b"ping":
        return ping_reply(argv, session.in_subscriber_mode())
    if name == b"echo":
        return encode.bulk(argv[1])
    if name == b"time":
        return time_reply(session.proxy.wall_ms)
    if name == b"lastsave":
        return encode.integer(session.proxy.started_ms // 1000)
    if name == b"role":
        return encode.array([encode.bulk(b"master"), encode.integer(0), encode.array([])])
    if name in (b"readonly", b"readwrite"):
        return errors.NO_CLUSTER
    if name.startswith(b"acl|"):
        return acl.acl_reply(session, name, argv)
    return command_reply(argv, session.proto)


def ping_reply(argv: list[bytes], subscriber_mode: bool) -> bytes:
    """PONG or the argument; in subscriber mode an array, as Redis sends it."""
    if len(argv) > 2:
        return errors.wrong_arity(b"ping")
    if subscriber_mode:
        return encode.array([encode.bulk(b"pong"), encode.bulk(b"".join(argv[1:]))])
    return encode.PONG if len(argv) == 1 else encode.bulk(argv[1])


def time_reply(wall_ms: int) -> bytes:
    """TIME: seconds and microseconds, from a clock of milliseconds."""
    return encode.array([encode.bulk(b"%d" % (wall_ms // 1000)), encode.bulk(b"%d" % (wall_ms % 1000 * 1000))])
