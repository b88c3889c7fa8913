"""One writer for a copy pool: a proxy marks the nodes with the name of its ordered connections, and looks for others.

A mark (`kidoproxy.replication.owner_marks`) is the name of a connection, and comes back with the next one. A proxy
first *claims* the copies, and *owns* them once all nodes that it reaches have its name and showed no better
one. Each connection names itself before it asks who else is there, so of two that come at once at least one sees the
other. Both compare in the same way (`OwnerMark.beats`), so one goes on and the other yields:

    higher term (a take-over by hand)  ─►  owns already  ─►  started first, by its own clock  ─►  smaller id

Who owns the copies closes the connections of those that it beats; they notice when they connect again. Who cannot close
an owner does not serve beside it. An owner whose connections to all copies were lost at one time (it stood still, or
the network did) only claims what it had: another one may have served meanwhile, and then alone knows who is behind.
A proxy that has yielded serves the pool no more before somebody starts it again, for the same reason.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.replication.owner_marks import ClientList, OwnerMark
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.log_event import LogEvent
from kidoproxy.resp.replication_errors import other_owner


@final
class Ownership:
    """What one proxy knows of who owns the copies of one group.

    ``is_dead``: whether the process that a mark names is known to have ended; what is left of it are connections that
    its node has not closed yet. ``take_over``: an operator's word that another owner has to yield.
    """

    def __init__(self, mark: OwnerMark, take_over: bool, is_dead: Callable[[OwnerMark], bool]) -> None:
        self.mark = mark
        self.take_over = take_over
        self.is_dead = is_dead
        #: All nodes that are reached have the mark, and no better one: the pool may be served.
        self.confirmed = False
        #: Who this proxy has yielded to, for good.
        self.yielded_to: OwnerMark | None = None
        #: Who was found at which node and goes before this proxy; gone when it is not found there any more.
        self.rivals: dict[str, OwnerMark] = {}
        #: The nodes to which a connection stands that has named itself there. After a moment without any the copies may
        #: have had another owner, so they are claimed anew.
        self.standing: dict[str, bool] = {}
        #: Why this proxy has yielded, for the operator.
        self.yield_reason = ""
        #: How often another proxy was found at a node.
        self.sightings = 0
        self.blind_nodes: list[str] = []
        self.log_events: list[LogEvent] = []

    def connection_name(self) -> bytes:
        """How the ordered connections are called now; empty: they have no name."""
        return b"" if self.yielded_to is not None else self.mark.encode()

    def is_open(self) -> bool:
        """Whether it will be settled soon who owns the copies: another one may go, or a node has not confirmed it."""
        return self.yielded_to is None and not self.confirmed and (self.mark.is_owner or bool(self.rivals))

    def refusal(self) -> bytes:
        """What clients hear after this proxy has yielded."""
        assert self.yielded_to is not None
        return other_owner(self.yielded_to.describe())

    def on_name_reply(self, node: str, raw: bytes) -> None:
        """The reply to our name: a node that does not take it shows us to nobody."""
        if is_error(raw):
            self.on_blind_node(node)

    def on_client_list(self, node: str, found: ClientList, announced: bytes) -> list[OwnerMark]:
        """The clients of ``node``, asked for behind ``announced`` as our name; those that are to be closed."""
        self.standing[node] = True
        if not found.is_list():
            self.on_blind_node(node)
            return []
        others = [mark for mark in found.marks if not self.mark.is_same(mark)]
        dead = [mark for mark in others if self.is_dead(mark)]
        living = [mark for mark in others if mark not in dead]
        if self.take_over and not self.confirmed:
            self.mark.term = max([self.mark.term, *[mark.term + 1 for mark in living]])
        own = self.comparable_mark()
        better = [mark for mark in living if mark.beats(own)]
        self.note_others(node, living)
        if better:
            self.on_beaten(node, better[0])
            return dead
        self.rivals.pop(node, None)
        # One that is closed before it can see what beats it would only come again.
        may_close = own.is_owner and announced == self.connection_name()
        return dead + [mark for mark in living if may_close]

    def on_connection_lost(self, node: str) -> None:
        """Nobody sees our mark there; when nobody sees it anywhere, the copies may have another owner before long."""
        self.standing.pop(node, None)
        if self.confirmed and not self.standing:
            self.confirmed = self.take_over = self.mark.is_owner = False
            self.mark.term = 0

    def comparable_mark(self) -> OwnerMark:
        """Our own mark as it counts: who is not confirmed yet, claims."""
        own = self.mark
        counts = OwnerMark(own.pool, own.proxy_id, own.started_ms, own.host, own.machine, own.pid, own.pid_started)
        counts.term = own.term
        counts.is_owner = self.confirmed or (self.take_over and own.is_owner)
        return counts

    def note_others(self, node: str, others: list[OwnerMark]) -> None:
        self.sightings += len(others)
        for mark in others:
            fields: dict[str, object] = {"node": node, "host": mark.host, "pid": mark.pid, "address": mark.address}
            if self.rivals.get(node) is None or self.rivals[node].proxy_id != mark.proxy_id:
                self.log_events.append(LogEvent("another proxy", fields))

    def on_beaten(self, node: str, rival: OwnerMark) -> None:
        """Who serves yields at once; who starts may see the other one go."""
        self.rivals[node] = rival
        self.mark.is_owner = False
        if self.confirmed:
            self.yield_to(rival)

    def on_not_closed(self, node: str, rival: OwnerMark, error: str) -> None:
        """An owner goes on writing to ``node``, for it may not be closed there: two would write."""
        self.mark.is_owner = False
        self.rivals[node] = rival
        self.yield_to(rival, f"{node} does not close its connection ({error})")

    def yield_to(self, rival: OwnerMark, cause: str = "") -> None:
        """This proxy does not serve the pool any more. ``cause``: why not, if it is not for the operator to choose."""
        self.confirmed = False
        self.yielded_to = rival
        order = f"kidoproxy serve --take-over {self.mark.pool}"
        advice = f"one proxy serves a copy pool; stop that one, or if its host is lost: {order}"
        if silence := rival.silence():
            advice = f"{silence}; if it will not come back: {order}"
        self.yield_reason = cause or advice
        fields: dict[str, object] = {"host": rival.host, "pid": rival.pid, "address": rival.address}
        self.log_events.append(LogEvent("pool not served", {**fields, "reason": self.yield_reason}))

    def on_blind_node(self, node: str) -> None:
        """Its user may not ask for its clients, or it does not know them: nothing is known about it."""
        self.rivals.pop(node, None)
        if node not in self.blind_nodes:
            self.blind_nodes.append(node)
            reason = "its user may not CLIENT SETNAME and CLIENT LIST: another proxy that writes to it is not noticed"
            self.log_events.append(LogEvent("owner unknown", {"node": node, "reason": reason}))
