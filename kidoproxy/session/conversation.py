"""One client's conversation: bytes in, calls into the ledger, nothing awaited and nothing raised.

    needs AUTH ──AUTH, HELLO──► open ◄──EXEC, DISCARD, RESET──► multi
                                 │ QUIT, a malformed frame, CLIENT KILL
                                 ▼
                               closing: what is owed leaves, then the socket is closed

Beside that it may watch keys, have subscriptions (in RESP2 it is *confined* to them then) and monitor. It is *stalled*
while its next request waits: for what is owed, a lane, a confirmation, what a node knows, the end of a pause.

A request is *plain* when it has one key, in first place, and nothing about the conversation is unusual:
then it costs one look-up, one plan and one leg. Everything else goes the long way round.
"""

from typing import Final, final

from kidoproxy import errors, limits
from kidoproxy.channels.topics import Subscriber
from kidoproxy.commands.permit import Checking
from kidoproxy.commands.spec import LANE, LISTEN, LOCAL, SESSION, CommandSpec
from kidoproxy.errors import ProtocolError
from kidoproxy.exchange_lanes import LaneWire
from kidoproxy.ledger import AGAIN, Call, Leg
from kidoproxy.ledger_jobs import Job
from kidoproxy.resp import build
from kidoproxy.resp.requests import Request, RequestLimits, RequestReader
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import Ask
from kidoproxy.session import (
    account,
    client_slices,
    ending,
    facts,
    lanes,
    lasting,
    local,
    multi,
    pause,
    proxy,
    pubsub,
    refusals,
    scripts,
    slices,
    talk,
)
from kidoproxy.session.executing import Queued
from kidoproxy.session.house import REPLY_ON, REPLY_SKIP, House, PoolFacts
from kidoproxy.session.lanes import Monitor
from kidoproxy.session.lookup import look_up, may_ask
from kidoproxy.session.multi import Anchor
from kidoproxy.session.watch import Watch

#: These change what later requests mean on the wire, so they wait until nothing is under way.
BARRIERS: Final = (b"select", b"hello", b"reset")
#: In MULTI these are not queued.
AT_ONCE: Final = (b"exec", b"discard", b"multi", b"watch", b"quit", b"reset")

EXEC_REFUSED: Final = errors.wrong_arity(b"exec")


@final
class ClientSession:
    """See the module. ``address`` and ``local`` are for CLIENT LIST."""

    def __init__(self, house: House, pool: PoolFacts, address: str, local: str) -> None:
        self.house = house
        self.pool = pool
        self.exchange = house.exchange
        self.id = house.next_id()
        self.address = address
        self.local = local
        self.ledger = account.ledger(house.exchange.turn, pool)
        self.limits = RequestLimits()
        self.reader = RequestReader(self.limits)
        self.proto = 2
        self.db = 0
        self.ask = Ask(0, 2, False, False, 0, pool.book)
        self.user = pool.users.default
        self.authed = self.user.open
        self.queue: list[Queued] | None = None
        self.anchor: Anchor | None = None
        self.queue_bytes = 0
        #: How much of what came has been counted as asked.
        self.counted = 0
        self.spoiled = False
        self.reply = REPLY_ON
        self.each = False
        #: Not logged in, or as somebody who may not do everything: each request is judged.
        self.judged = False
        #: Nothing unusual: plain requests may take the short way.
        self.easy = False
        self.confined = False
        #: Requests wait: for the ledger to drain (`parked` is the one that wanted that), or to shrink.
        self.stalled = False
        self.parked: Request | None = None
        #: It has had its share of this turn (`kidoproxy.session.slices`); ``spent``: units of work beside the requests.
        self.suspended: slices.Suspended | None = None
        self.spent = 0
        #: What is done before its next request, in slices; and a long request that has been judged by its user's rules.
        self.task: Job | None = None
        self.checked: Checking | None = None
        #: The request that is under way on lanes; what is watched; the stream that MONITOR has begun.
        self.blocked: LaneWire | None = None
        self.watch: Watch | None = None
        self.monitor: Monitor | None = None
        self.closing = False
        #: The client sends nothing more: what has come whole is still run, and what is owed is still sent.
        self.hung_up = False
        #: Made with the first subscription; and what is asked of the nodes for it now.
        self.subscriber: Subscriber | None = None
        self.wish: pubsub.Wished | None = None
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.no_evict = False
        self.no_touch = False
        self.last_command = b"NULL"
        self.created_ms = house.wall_ms
        self.active_ms = house.wall_ms
        self.commands = 0
        self.settle()
        house.sessions[self.id] = self

    def settle(self) -> None:
        """Work out what follows from a change of the conversation's state."""
        self.easy = self.authed and self.queue is None and self.reply == REPLY_ON and not self.each
        self.judged = not (self.authed and self.user.free)
        self.easy = self.easy and not self.judged and not self.pool.words.picky
        self.easy = self.easy and not self.pool.paused_until and self.monitor is None
        subscriber = self.subscriber
        #: It has subscribed in RESP2, where a reply and a message cannot be told apart: Redis then serves little else.
        self.confined = subscriber is not None and self.proto == 2 and subscriber.total() > 0
        if subscriber is not None:
            subscriber.proto = self.proto
            self.easy = self.easy and not self.confined
        self.ask.db = self.db
        self.ask.proto = self.proto
        self.ask.each = self.each
        self.ask.soft = self.pool.soft
        self.ask.as_loading = self.pool.as_loading
        account.allow(self)

    # -- bytes in --------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.closing:
            return
        self.active_ms = self.house.wall_ms
        self.reader.feed(data)
        if not self.stalled:
            self.run()

    def run(self) -> None:
        """Handle the requests that are there, until one makes us wait, or this client has had its share of the turn."""
        turn = self.exchange.turn
        most = slices.share(self)
        count = 0
        # A request may have waited since its bytes came: a relative expiry counts from now.
        self.ask.now_ms = self.house.wall_ms
        try:
            while not self.stalled and not self.closing:
                if count + self.spent >= most:
                    slices.suspend(self)
                    break
                request = self.reader.next()
                if request is None:
                    break
                count += 1
                self.handle(request)
        except ProtocolError as problem:
            account.refuse(self, problem)
        turn.spent += count + self.spent
        self.spent = 0
        self.commands += count
        self.house.commands += count
        if self.reader.fed - self.counted >= limits.MARK_BYTES:
            account.count_asked(self)

    def is_listening(self) -> bool:
        """Whether more bytes are wanted. Of a client that blocks they are, for only so it is noticed when it goes."""
        if self.closing or self.hung_up or not self.stalled:
            return not (self.closing or self.hung_up)
        waits = self.blocked is not None or self.pool.paused_until > 0
        return waits and self.reader.buffered() < limits.CLIENT_PAUSE_BYTES

    def wait_for(self, calls: int) -> None:
        """Handle no further request until at most so many calls are open."""
        self.stalled = True
        self.ledger.wanted = calls

    def wait_if_owed(self) -> None:
        """Handle no further request until nothing is owed any more."""
        if self.ledger.count():
            self.wait_for(0)
        else:
            self.blocked = None

    def resume(self) -> None:
        """The ledger has drained as far as was wanted, or what else was waited for has come."""
        blocked = self.blocked
        self.stalled = False
        self.blocked = None
        slices.go_on(self)
        if self.closing or ending.gave_up(self, blocked):
            return
        request, task = self.parked, self.task
        if task is not None:
            self.ask.now_ms = self.house.wall_ms
            slices.work(self, task)
        elif request is not None:
            self.parked = None
            self.ask.now_ms = self.house.wall_ms
            self.handle(request)
        self.run()
        ending.has_run(self)

    def handle(self, request: Request) -> None:
        """One request: the short way if it is plain, the long way otherwise."""
        spec = self.pool.words.find(request.argv)
        if request.rest is not None and slices.unfolds_slowly(self, spec, request):
            return
        if spec is not None and self.easy and spec.plain and spec.accepts(len(request.argv)):
            call = self.ledger.open(spec.write)
            plan = self.pool.root.plan(spec, request, self.ask)
            if isinstance(plan, Send) and plan.payload is None and plan.others is None and not self.ask.soft:
                if spec.repeatable:
                    call.tries = AGAIN
                    call.payload = request.raw
                if request.rest is None:
                    self.exchange.send(plan.node, call, request.raw, self.proto, self.db)
                else:
                    self.exchange.send_folded(plan.node, call, request, self.proto, self.db)
            else:
                request.unfold()
                self.exchange.scatter(plan, call, request.raw, spec, self.ask)
        else:
            self.handle_with_care(spec, request)

    # -- the long way ----------------------------------------------------------------------------

    def handle_with_care(self, spec: CommandSpec | None, request: Request) -> None:
        """Everything that is not plain, in the order in which Redis checks."""
        if spec is None and talk.hangs_up(self, request.argv[0]):
            return
        request.unfold()
        self.spent += len(request.argv) // limits.UNIT_WORDS
        words = self.pool.words
        if words.hidden:
            argv, spec = words.meant(request.argv)
            if argv is not request.argv:
                request = Request(argv, build.command(argv))
        if spec is None and may_ask(self, request.argv[0]) and look_up(self, request):
            return
        if slices.check(self, spec, request):
            return
        refusal = refusals.why(self, spec, request.argv)
        if refusal is not None or spec is None:
            self.refuse(refusal if refusal is not None else errors.unknown_command(request.argv))
            return
        self.last_command = spec.name
        if pause.holds(self, spec, request.argv):
            self.stalled = True
            self.parked = request
            self.pool.held[self.id] = self
        elif self.queue is not None and spec.name not in AT_ONCE:
            multi.enqueue(self, self.queue, spec, request)
        elif self.ledger.count() and self.comes_alone(spec, request.argv):
            self.parked = request
            self.wait_for(0)
        elif spec.reach == SESSION:
            self.converse(spec, request)
        elif spec.reach == LANE:
            lanes.handle(self, spec, request)
        elif spec.reach == LISTEN:
            pubsub.handle(self, spec, request.argv)
        elif slices.is_planned_slowly(spec, request):
            slices.begin(self, slices.LongRequest(self, spec, request))
        else:
            self.dispatch(spec, request, self.open(spec))

    def comes_alone(self, spec: CommandSpec, argv: list[bytes]) -> bool:
        """Whether a request must wait until nothing is under way: what follows, or a lane, must not overtake it."""
        if spec.name in BARRIERS or spec.reach == LISTEN or lanes.needed(spec, argv):
            return True
        return self.watch is not None and spec.name in multi.WORDS

    def wake(self) -> None:
        """What the session waited for has come: it goes on at the end of this turn."""
        self.exchange.turn.drained.append(self.ledger)

    def refuse(self, frame: bytes) -> None:
        """An error reply; inside MULTI it spoils the transaction, and a misspelt EXEC ends it."""
        if self.queue is not None and frame != errors.WATCH_IN_MULTI:
            self.spoiled = True
        if frame == EXEC_REFUSED:
            self.leave_multi()
            self.unwatch()
            frame = errors.EXEC_ARITY
        self.house.errors += 1
        self.open(None).take(self.pool.told(frame))

    def open(self, spec: CommandSpec | None) -> Call:
        """A place in the ledger, silent where CLIENT REPLY says so."""
        call = self.ledger.open(spec is not None and spec.write)
        if self.reply != REPLY_ON:
            call.quiet = True
            if self.reply == REPLY_SKIP:
                self.reply = REPLY_ON
                self.settle()
        return call

    def answer(self, frame: bytes) -> None:
        """A reply that the session itself gives."""
        self.spent += len(frame) // limits.UNIT_BYTES
        self.open(None).take(frame)

    def dispatch(self, spec: CommandSpec, request: Request, leg: Leg) -> None:
        """Answer locally, or plan and scatter."""
        if spec.reach == LOCAL:
            frame = local.answer(self, spec, request.argv)
            self.spent += len(frame) // limits.UNIT_BYTES
            leg.take(build.array([frame]) if self.ask.each else frame)
            return
        if spec.scripting:
            scripts.dispatch(self, spec, request, leg)
            return
        if facts.answered(self, spec, request.argv, leg) or lasting.begins(self, spec, request, leg):
            return
        leg = facts.corrected(self, spec, request.argv, leg)
        self.exchange.scatter(self.plan(spec, request), leg, request.raw, spec, self.ask)

    def plan(self, spec: CommandSpec, request: Request) -> Plan:
        """The route's plan."""
        return self.listed(self.pool.root.plan(spec, request, self.ask), spec)

    def listed(self, plan: Plan, spec: CommandSpec) -> Plan:
        """The reply of a single node is a list of one when lists are wanted."""
        if self.ask.each and isinstance(plan, Send):
            return Gather([plan], spec.rule)
        return plan

    def leave_multi(self) -> None:
        """Forget what MULTI has queued."""
        self.queue = None
        self.anchor = None
        self.queue_bytes = 0
        self.spoiled = False
        self.settle()

    # -- the conversation itself -----------------------------------------------------------------

    def converse(self, spec: CommandSpec, request: Request) -> None:
        """What changes the conversation."""
        name = spec.name
        if name.startswith(b"proxy"):
            proxy.handle(self, spec, request)
            return
        if name in multi.WORDS:
            multi.handle(self, name)
        elif name == b"quit":
            self.answer(build.OK)
            self.close()
        elif name == b"client|reply":
            talk.set_reply(self, request.argv)
        elif not client_slices.answer(self, name, request.argv):
            self.answer(talk.answer(self, spec, request.argv))
            account.overruns(self, 0)

    def unwatch(self) -> None:
        """Watch nothing more."""
        if self.watch is not None:
            self.watch.release()
            self.watch = None

    def close(self) -> None:
        """Read nothing more; when what is owed has left, the socket is closed. Who blocks is owed nothing."""
        self.closing = True
        ending.abandon(self)
        ending.forget(self)
        self.ledger.wanted = 0
        self.ledger.emit(b"")

    def gone(self) -> None:
        """The socket is closed."""
        self.closing = True
        ending.abandon(self)
        self.ledger.close()
        ending.forget(self)
        self.house.sessions.pop(self.id, None)
        self.pool.held.pop(self.id, None)

    def __repr__(self) -> str:
        mode = "closing" if self.closing else "multi" if self.queue is not None else "open"
        return f"<session {self.id} {self.address} {mode if self.authed else 'needs AUTH'} {self.ledger!r}>"
