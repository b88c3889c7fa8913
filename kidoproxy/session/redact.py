"""A node's own secrets are not for clients: what would show one is taken out of what the node says.

* ``CONFIG GET`` (globs too) shows the node's password, its master's, and those of its keys: they are left out.
* ``SLOWLOG GET``, ``COMMANDLOG GET`` and ``MONITOR`` of older servers show how somebody logged in, the proxy among
  them: the arguments of such commands are hidden, whatever they are.
* ``MODULE LIST`` shows what a module was loaded with: hidden too.

The users of a node (``ACL LIST``) and its clients (``CLIENT LIST``) are asked of no node at all. Whatever a node says
that has not the shape of such an answer is passed on, for then it is none.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy.channels.counts import Counted
from kidoproxy.commands.spec import COPY_ONE, CommandSpec
from kidoproxy.exchange import Around
from kidoproxy.ledger import Leg
from kidoproxy.resp.build import array, bulk, mapping
from kidoproxy.resp.open import bulk as text_of
from kidoproxy.resp.open import is_null, items, kind

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: Commands whose replies may hold a node's secrets.
TELLING: Final = (b"config|get", b"slowlog|get", b"commandlog|get", b"module|list")
#: Never asked of one node: its users are its operator's.
USERS: Final = (b"acl|list", b"acl|getuser", b"acl|users", b"acl|log", b"acl|dryrun")
#: Settings whose name says it: what ends like this, and these.
ENDINGS: Final = (b"pass", b"auth", b"password", b"passwd", b"secret", b"token")
NAMES: Final = (b"masteruser", b"primaryuser", b"user", b"aclfile", b"loadmodule")
#: Commands whose arguments hold secrets, or may.
LOGINS: Final = (b"auth", b"hello", b"migrate", b"acl", b"config", b"sentinel")
HIDDEN: Final = b"(redacted)"

LISTS: Final = b"*~"
MAP: Final = ord("%")
STRINGS: Final = b"$+="


def tells(spec: CommandSpec) -> bool:
    """Whether the reply has to be looked through."""
    return spec.name in TELLING


def is_secret(setting: bytes) -> bool:
    """Whether the value of a setting of this name is for the node's operator alone."""
    name = setting.lower()
    return name in NAMES or name.endswith(ENDINGS)


def is_corrected(spec: CommandSpec) -> bool:
    """Whether what a node says is not what the client hears."""
    return spec.copy == COPY_ONE or tells(spec)


def corrected(session: "ClientSession", spec: CommandSpec, argv: list[bytes], leg: Leg) -> Leg:
    """The leg for a node's reply: secrets stay with the nodes, and what counts subscribers means all of ours."""
    if tells(spec):
        return Redacted(leg, spec.name, session.ask.each)
    if spec.copy == COPY_ONE and not session.ask.each:
        return Counted(session.house.board(session.pool), spec, argv, leg)
    return leg


@final
class Redacted(Around):
    """Takes a node's reply, or (``listed``) a list of several nodes'."""

    def __init__(self, parent: Leg, name: bytes, listed: bool) -> None:
        super().__init__(parent)
        self.name = name
        self.listed = listed

    def take(self, raw: bytes) -> None:
        """Without the secrets."""
        if self.listed and is_list(raw):
            self.parent.take(array([redact(self.name, item) for item in items(raw)]))
        else:
            self.parent.take(redact(self.name, raw))

    def can_cut(self) -> bool:
        """It is looked through as a whole."""
        return False


def redact(name: bytes, raw: bytes) -> bytes:
    """One node's reply to a command of this name."""
    if name == b"config|get":
        return settings(raw)
    if not is_list(raw):
        return raw
    hide = module if name == b"module|list" else entry
    return array([hide(item) for item in items(raw)])


def settings(raw: bytes) -> bytes:
    """Name, value, name, value … without those that are secret."""
    if not is_list(raw) and kind(raw) != MAP:
        return raw
    found = items(raw)
    kept: list[bytes] = []
    for at in range(0, len(found) - 1, 2):
        if not is_text(found[at]) or not is_secret(text_of(found[at])):
            kept += found[at : at + 2]
    return mapping(3, kept) if kind(raw) == MAP else array(kept)


def entry(raw: bytes) -> bytes:
    """One entry of a slow log: id, time, duration, the words of the command, and what newer servers add."""
    if not is_list(raw):
        return raw
    found = items(raw)
    if len(found) > 3 and is_list(found[3]):
        words = items(found[3])
        if words and is_text(words[0]) and text_of(words[0]).lower() in LOGINS:
            found[3] = array([words[0], bulk(HIDDEN)])
    return array(found)


def module(raw: bytes) -> bytes:
    """One module: its facts, less the arguments that it was loaded with."""
    if not is_list(raw) and kind(raw) != MAP:
        return raw
    found = items(raw)
    for at in range(0, len(found) - 1, 2):
        if is_text(found[at]) and text_of(found[at]) == b"args":
            found[at + 1] = array([])
    return mapping(3, found) if kind(raw) == MAP else array(found)


def line(raw: bytes) -> bytes:
    """One line of MONITOR: ``+1339518083.107412 [0 127.0.0.1:60866] "auth" "secret"``."""
    head, bracket, tail = raw.partition(b'] "')
    word = tail[:16].partition(b'"')[0]
    if not bracket or word.lower() not in LOGINS:
        return raw
    return b'%b] "%b" "%b"\r\n' % (head, word, HIDDEN)


def is_list(raw: bytes) -> bool:
    """Whether it has items, and is no map."""
    return kind(raw) in LISTS and not is_null(raw)


def is_text(raw: bytes) -> bool:
    """Whether it is a string of any kind."""
    return kind(raw) in STRINGS and not is_null(raw)
