"""Asking a node about a command that the table does not know; the session waits for the answer."""

from typing import TYPE_CHECKING, final

from kidoproxy.commands.learn import learn
from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Leg
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


@final
class Lookup(Leg):
    """Waits for ``COMMAND INFO name``; then the session goes on with the request that it parked."""

    def __init__(self, session: "ClientSession", name: bytes) -> None:
        super().__init__()
        self.session = session
        self.name = name

    def take(self, raw: bytes) -> None:
        """Now the pool knows it, or knows that nobody does."""
        self.session.pool.words.learn(self.name, learn(raw))
        self.session.wake()

    def fail(self, failure: NodeFailure) -> None:
        """Nobody could be asked: the request gets the node's failure."""
        self.session.parked = None
        self.session.refuse(failure.line(False))
        self.session.wake()


def look_up(session: "ClientSession", request: Request) -> bool:
    """Ask a live node about an unknown command; False when there is none to ask."""
    for node in session.pool.root.nodes():
        if node.live:
            session.parked = request
            session.stalled = True
            question = command([b"COMMAND", b"INFO", request.argv[0]])
            session.exchange.send(node, Lookup(session, request.argv[0]), question, session.proto, session.db)
            return True
    return False


def may_ask(session: "ClientSession", name: bytes) -> bool:
    """Whether a node should be asked about a command that we do not know: not for who could not use it anyway."""
    if not session.authed or not session.pool.words.worth_asking(name):
        return False
    return session.user.free or session.user.permit.may_allow(name.lower())
