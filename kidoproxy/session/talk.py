"""HELLO, AUTH, SELECT, RESET and CLIENT: what a client says about itself, answered as Redis does.

redis-py 8 sends HELLO 3 on every connection and has no fallback, so its reply must be right to the byte.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import errors
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp import build
from kidoproxy.session import client, client_kill, ending, pause
from kidoproxy.session.house import REPLY_OFF, REPLY_ON, REPLY_SKIP
from kidoproxy.session.incidents import HTTP, LOGIN, is_web
from kidoproxy.session.users import DEFAULT

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: What Redis and Valkey last had in common; beyond it the same number means different things in each.
VERSION: Final = b"7.2.4"
RESET: Final = b"+RESET\r\n"


def answer(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> bytes:
    """The reply; the session's state is changed on the way."""
    name = spec.name
    if name == b"hello":
        return hello(session, argv)
    if name == b"auth":
        return auth(session, argv)
    if name == b"select":
        return select(session, argv[1])
    if name == b"unwatch":
        session.unwatch()
        return build.OK
    if name == b"reset":
        ending.begin_anew(session)
        session.no_evict = False
        session.no_touch = False
        return RESET
    if name == b"client|pause":
        return pause.pause(session, argv)
    if name == b"client|unpause":
        session.pool.unpause(session.house)
        return build.OK
    if name == b"client|kill":
        return client_kill.kill(session, argv)
    if name == b"client|reply":
        # Inside a transaction, which only ON can be part of.
        return build.OK
    if name.startswith(b"client|"):
        return client.answer(session, spec, argv)
    return errors.denied(name, "it cannot be part of a transaction here")


# -- HELLO ---------------------------------------------------------------------------------------------


def hello(session: "ClientSession", argv: list[bytes]) -> bytes:
    """HELLO [protocol [AUTH user password] [SETNAME name]]: everything is checked before anything is changed."""
    proto = session.proto
    if len(argv) > 1:
        wanted = client.integer(argv[1])
        if wanted is None:
            return errors.BAD_PROTO
        if wanted not in (2, 3):
            return errors.NOPROTO
        if wanted == 3 and not all(node.resp3 for node in session.pool.root.nodes()):
            return errors.NOPROTO
        proto = wanted
    login: list[bytes] = []
    name: bytes | None = None
    at = 2
    while at < len(argv):
        option = argv[at].lower()
        more = len(argv) - 1 - at
        if option == b"auth" and more >= 2:
            login = argv[at + 1 : at + 3]
            at += 3
        elif option == b"setname" and more >= 1:
            name = argv[at + 1]
            if not client.is_clean(name):
                return errors.BAD_CLIENT_NAME
            at += 2
        else:
            return errors.hello_option(argv[at])
    return agree(session, proto, login, name)


def agree(session: "ClientSession", proto: int, login: list[bytes], name: bytes | None) -> bytes:
    """The second half of HELLO: log in, take the name, change the protocol, introduce ourselves."""
    if login and not log_in(session, login[0], login[1]):
        return errors.WRONGPASS
    if not session.authed:
        session.settle()
        return errors.HELLO_NOAUTH
    if name is not None:
        session.name = name
    session.proto = proto
    session.settle()
    return introduction(session)


def introduction(session: "ClientSession") -> bytes:
    """Who we are: one Redis, standing alone."""
    bulk = build.bulk
    return build.mapping(
        session.proto,
        [
            *(bulk(b"server"), bulk(b"redis")),
            *(bulk(b"version"), bulk(version(session))),
            *(bulk(b"proto"), build.integer(session.proto)),
            *(bulk(b"id"), build.integer(session.id)),
            *(bulk(b"mode"), bulk(b"standalone")),
            *(bulk(b"role"), bulk(b"master")),
            *(bulk(b"modules"), build.array([])),
        ],
    )


def version(session: "ClientSession") -> bytes:
    """The oldest node's version, as far as it is known, but none that only Redis or only Valkey has."""
    oldest = VERSION
    for node in session.pool.root.nodes():
        if node.version and ordinal(node.version) < ordinal(oldest):
            oldest = node.version
    return oldest


def ordinal(text: bytes) -> list[int]:
    """A version as numbers that can be compared; what is not a number counts as 0."""
    return [int(part) if part.isdigit() and len(part) < 10 else 0 for part in text.split(b".")]


# -- AUTH and SELECT -------------------------------------------------------------------------------------


def log_in(session: "ClientSession", name: bytes, password: bytes) -> bool:
    """Become this user, if the password is right; else who is logged in stays it."""
    user = session.pool.users.login(name, password)
    if user is None:
        session.house.auth_failures += 1
        session.house.incidents.note(LOGIN, session.pool.name, name, session.address)
        return False
    session.user = user
    session.authed = True
    return True


def hangs_up(session: "ClientSession", name: bytes) -> bool:
    """Whether that was a web page, which may send any bytes to a port: no line behind is taken for a command."""
    if not is_web(name):
        return False
    session.house.incidents.note(HTTP, session.pool.name, None, session.address)
    session.close()
    return True


def auth(session: "ClientSession", argv: list[bytes]) -> bytes:
    """AUTH [user] password; a wrong one does not log out who is logged in."""
    if len(argv) > 3:
        return errors.SYNTAX
    if len(argv) == 2 and session.pool.users.default.nopass:
        return errors.NO_PASSWORD_SET
    name = argv[1] if len(argv) == 3 else DEFAULT
    if not log_in(session, name, argv[-1]):
        return errors.WRONGPASS
    session.settle()
    return build.OK


def select(session: "ClientSession", text: bytes) -> bytes:
    """SELECT: the database of all later requests; each link to a node of a ring has its own."""
    number = client.integer(text)
    if number is None:
        return errors.NOT_INTEGER
    if not -(1 << 31) <= number < 1 << 31:
        return errors.NOT_INT
    if not 0 <= number < session.pool.databases:
        return errors.BAD_DB
    session.db = number
    session.settle()
    return build.OK


def set_reply(session: "ClientSession", argv: list[bytes]) -> None:
    """CLIENT REPLY ON | OFF | SKIP: only ON is answered."""
    word = argv[2].upper()
    if word == b"ON":
        session.reply = REPLY_ON
        session.settle()
        session.answer(build.OK)
    elif word == b"OFF":
        session.reply = REPLY_OFF
        session.settle()
    elif word == b"SKIP":
        if session.reply == REPLY_ON:
            session.reply = REPLY_SKIP
        session.settle()
    else:
        session.answer(errors.SYNTAX)
