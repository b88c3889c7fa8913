"""Commands that the proxy answers without a node, so that they work even when all nodes are down."""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.command_reply import command_reply
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import encode, errors
from kidoproxy.session.base import Answer, Session
from kidoproxy.session.handlers import acl


def ping_reply(session: Session, argv: list[bytes]) -> bytes:
    """PONG or the argument; in subscriber mode an array, as Redis sends it."""
    if len(argv) > 2:
        return errors.wrong_arity(b"ping")
    if session.in_subscriber_mode():
        return encode.array([encode.bulk(b"pong"), encode.bulk(b"".join(argv[1:]))])
    return encode.PONG if len(argv) == 1 else encode.bulk(argv[1])


def echo_reply(session: Session, argv: list[bytes]) -> bytes:
    """ECHO."""
    return encode.bulk(argv[1])


def last_save_reply(session: Session, argv: list[bytes]) -> bytes:
    """LASTSAVE: when the proxy has started, in seconds."""
    return encode.integer(session.proxy.started_ms // 1000)


def role_reply(session: Session, argv: list[bytes]) -> bytes:
    """ROLE: a master without replicas."""
    return encode.array([encode.bulk(b"master"), encode.integer(0), encode.array([])])


def cluster_reply(session: Session, argv: list[bytes]) -> bytes:
    """READONLY and READWRITE, which are for clusters."""
    return errors.NO_CLUSTER


def time_reply(session: Session, argv: list[bytes]) -> bytes:
    """TIME: seconds and microseconds, from a clock of milliseconds."""
    wall_ms = session.proxy.wall_ms
    return encode.array([encode.bulk(b"%d" % (wall_ms // 1000)), encode.bulk(b"%d" % (wall_ms % 1000 * 1000))])


def commands_reply(session: Session, argv: list[bytes]) -> bytes:
    """COMMAND and its subcommands."""
    return command_reply(argv, session.proto)


ANSWERS: Final[dict[HandlerId, Answer]] = {
    handler_ids.COMMAND: commands_reply,
    handler_ids.ECHO: echo_reply,
    handler_ids.LASTSAVE: last_save_reply,
    handler_ids.PING: ping_reply,
    handler_ids.CLUSTER_ONLY: cluster_reply,
    handler_ids.ROLE: role_reply,
    handler_ids.TIME: time_reply,
    **acl.ANSWERS,
}


def local_reply(session: Session, spec: CommandSpec, argv: list[bytes]) -> bytes:
    """The reply to a command of reach LOCAL."""
    return ANSWERS[spec.handler](session, argv)
