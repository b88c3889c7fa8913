"""HELLO, AUTH, SELECT, RESET and CLIENT: commands that change the session, answered as Redis does.

redis-py 8 sends HELLO 3 on every connection and has no fallback, so its reply must be right to the byte.
"""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import client_errors, encode, errors
from kidoproxy.resp.request_reader import Request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.session import cleanup
from kidoproxy.session.base import Answer, Session
from kidoproxy.session.handlers import client
from kidoproxy.session.incidents import HTTP_REQUEST, LOGIN_FAILED, is_http_request
from kidoproxy.session.state import REPLY_OFF, REPLY_ON, REPLY_SKIP
from kidoproxy.session.users import DEFAULT_USER

#: What Redis and Valkey last had in common; beyond it the same number means different things in each.
NEWEST_COMMON_VERSION: Final = b"7.2.4"
RESET_REPLY: Final = b"+RESET\r\n"


# -- HELLO ---------------------------------------------------------------------------------------------


def hello(session: Session, argv: list[bytes]) -> bytes:
    """HELLO [protocol [AUTH user password] [SETNAME name]]: everything is checked before anything is changed."""
    proto = session.proto
    if len(argv) > 1:
        requested_proto = parse_int64(argv[1])
        if requested_proto is None:
            return client_errors.BAD_PROTO
        if requested_proto not in (2, 3):
            return client_errors.NOPROTO
        if requested_proto == 3 and not all(node.resp3 for node in session.context.root.nodes()):
            return client_errors.NOPROTO
        proto = requested_proto
    credentials: list[bytes] = []
    name: bytes | None = None
    position = 2
    while position < len(argv):
        option = argv[position].lower()
        remaining = len(argv) - 1 - position
        if option == b"auth" and remaining >= 2:
            credentials = argv[position + 1 : position + 3]
            position += 3
        elif option == b"setname" and remaining >= 1:
            name = argv[position + 1]
            if not client.is_valid_attribute(name):
                return client_errors.BAD_CLIENT_NAME
            position += 2
        else:
            return client_errors.hello_option(argv[position])
    return apply_hello(session, proto, credentials, name)


def apply_hello(session: Session, proto: int, credentials: list[bytes], name: bytes | None) -> bytes:
    """The second half of HELLO: log in, set the name, switch the protocol, reply."""
    if credentials and not log_in(session, credentials[0], credentials[1]):
        return client_errors.WRONGPASS
    if not session.authed:
        session.update_flags()
        return client_errors.HELLO_NOAUTH
    if name is not None:
        session.name = name
    session.proto = proto
    session.update_flags()
    return hello_reply(session)


def hello_reply(session: Session) -> bytes:
    """The fields of HELLO: one standalone Redis."""
    bulk = encode.bulk
    return encode.mapping(
        session.proto,
        [
            *(bulk(b"server"), bulk(b"redis")),
            *(bulk(b"version"), bulk(advertised_version(session))),
            *(bulk(b"proto"), encode.integer(session.proto)),
            *(bulk(b"id"), encode.integer(session.id)),
            *(bulk(b"mode"), bulk(b"standalone")),
            *(bulk(b"role"), bulk(b"master")),
            *(bulk(b"modules"), encode.array([])),
        ],
    )


def advertised_version(session: Session) -> bytes:
    """The version of the oldest node, at most the last one that Redis and Valkey have in common."""
    oldest = NEWEST_COMMON_VERSION
    for node in session.context.root.nodes():
        if node.version and version_numbers(node.version) < version_numbers(oldest):
            oldest = node.version
    return oldest


def version_numbers(text: bytes) -> list[int]:
    """A version as comparable numbers; what is not a number counts as 0."""
    return [int(part) if part.isdigit() and len(part) < 10 else 0 for part in text.split(b".")]


# -- AUTH and SELECT -------------------------------------------------------------------------------------


def log_in(session: Session, name: bytes, password: bytes) -> bool:
    """Switch to this user if the password is right; a failure is recorded and changes nothing."""
    user = session.context.users.authenticate(name, password)
    if user is None:
        session.proxy.auth_failures += 1
        session.proxy.incidents.record(LOGIN_FAILED, session.context.name, name, session.address)
        return False
    session.user = user
    session.authed = True
    return True


def close_if_http(session: Session, name: bytes) -> bool:
    """Close on an HTTP request, as Redis does: a web page must not be able to send commands. Whether it was one."""
    if not is_http_request(name):
        return False
    session.proxy.incidents.record(HTTP_REQUEST, session.context.name, None, session.address)
    session.close()
    return True


def auth(session: Session, argv: list[bytes]) -> bytes:
    """AUTH [user] password; a wrong one does not log out."""
    if len(argv) > 3:
        return errors.SYNTAX
    if len(argv) == 2 and session.context.users.default.nopass:
        return client_errors.NO_PASSWORD_SET
    name = argv[1] if len(argv) == 3 else DEFAULT_USER
    if not log_in(session, name, argv[-1]):
        return client_errors.WRONGPASS
    session.update_flags()
    return encode.OK


def select(session: Session, argv: list[bytes]) -> bytes:
    """SELECT: the database of all later requests; each has its own shared connections."""
    number = parse_int64(argv[1])
    if number is None:
        return errors.NOT_INTEGER
    if not -(1 << 31) <= number < 1 << 31:
        return client_errors.NOT_INT32
    if not 0 <= number < session.context.databases:
        return client_errors.BAD_DB
    session.db = number
    session.update_flags()
    return encode.OK


def set_reply_mode(session: Session, spec: CommandSpec, request: Request) -> None:
    """CLIENT REPLY ON | OFF | SKIP; only ON gets a reply."""
    mode = request.argv[2].upper()
    if mode == b"ON":
        session.reply_mode = REPLY_ON
        session.update_flags()
        session.send_reply(encode.OK)
    elif mode == b"OFF":
        session.reply_mode = REPLY_OFF
        session.update_flags()
    elif mode == b"SKIP":
        if session.reply_mode == REPLY_ON:
            session.reply_mode = REPLY_SKIP
        session.update_flags()
    else:
        session.send_reply(errors.SYNTAX)


def quit_session(session: Session, spec: CommandSpec, request: Request) -> None:
    """QUIT: answered before the socket is closed."""
    session.send_reply(encode.OK)
    session.close()


# -- all of them --------------------------------------------------------------------------------------------


def unwatch(session: Session, argv: list[bytes]) -> bytes:
    """UNWATCH."""
    session.unwatch()
    return encode.OK


def reset(session: Session, argv: list[bytes]) -> bytes:
    """RESET."""
    cleanup.reset(session)
    session.no_evict = False
    session.no_touch = False
    return RESET_REPLY


def reply_on(session: Session, argv: list[bytes]) -> bytes:
    """CLIENT REPLY inside a transaction, which only ON can be part of."""
    return encode.OK


ANSWERS: Final[dict[HandlerId, Answer]] = {
    handler_ids.AUTH: auth,
    handler_ids.CLIENT_REPLY: reply_on,
    handler_ids.HELLO: hello,
    handler_ids.RESET: reset,
    handler_ids.SELECT: select,
    handler_ids.UNWATCH: unwatch,
    **client.ANSWERS,
}


def execute(session: Session, spec: CommandSpec, argv: list[bytes]) -> bytes:
    """Run one of these commands: changes the session and returns the reply. Also called by EXEC."""
    return ANSWERS[spec.handler](session, argv)
