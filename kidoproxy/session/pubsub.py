"""SUBSCRIBE and its kin: a client's subscriptions, and the confirmations that it gets, in Redis's own shape.

Such a request waits until all before it is answered, and those behind it wait until the nodes have
confirmed it; its confirmations leave at one go, before the first message. They and messages are pushes,
which CLIENT REPLY OFF does not silence.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import limits
from kidoproxy.channels.switchboard import Switchboard
from kidoproxy.channels.topics import BEGUN, ENDED, SUBSCRIBE, UNSUBSCRIBE, Subscriber, Wish
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.ledger import Call, Ledger
from kidoproxy.ledger_jobs import Job
from kidoproxy.resp import build
from kidoproxy.session import account, slices

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: All that Redis serves to a RESP2 client that has subscribed.
ALLOWED: Final = (*SUBSCRIBE, *UNSUBSCRIBE, b"ping", b"quit", b"reset")


@final
class Wished(Wish):
    """What one session waits for; ``frames`` are its confirmations."""

    def __init__(
        self, session: "ClientSession", subscriber: Subscriber, kind: int, call: Call, frames: list[bytes]
    ) -> None:
        super().__init__(subscriber, kind)
        self.session = session
        self.call = call
        self.frames = frames

    def done(self, error: bytes) -> None:
        """The session goes on."""
        session = self.session
        session.wish = None
        if error:
            session.house.errors += 1
            # Of a long request the rest is not tried.
            session.task = None
        self.call.take(session.pool.told(error) if error else b"".join(self.frames))
        session.settle()
        session.wake()


def handle(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> None:
    """One request; everything before it has been answered."""
    subscriber = session.subscriber
    if len(argv) == 1 and subscriber is not None and spec.name in ENDED:
        argv = [argv[0], *subscriber.names[ENDED[spec.name]]]
    if len(argv) > limits.SLICE_NAMES + 1:
        slices.begin(session, LongListen(session, spec, argv))
    else:
        wish_for(session, spec, argv)


@final
class LongListen(Job):
    """A request with very many names, as if it were several: each waits until the one before has been confirmed."""

    def __init__(self, session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> None:
        self.session = session
        self.spec = spec
        self.argv = argv
        self.at = 1

    def step(self) -> bool:
        """Some names more. Whoever tells the client of them lets it go on."""
        start = self.at
        self.at = start + limits.SLICE_NAMES
        if self.at < len(self.argv):
            self.session.task = self
        wish_for(self.session, self.spec, [self.argv[0], *self.argv[start : self.at]])
        return False


def wish_for(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> None:
    """One request that is not too long."""
    board = session.house.board(session.pool)
    subscriber = session.subscriber
    if subscriber is None:
        subscriber = Subscriber(board.enlist(), session.ledger, session.proto)
        session.subscriber = subscriber
    begins = spec.name in BEGUN
    if begins and account.overruns(session, sum(map(len, argv)) + len(argv) * limits.NAME_COST):
        return
    kind = BEGUN[spec.name] if begins else ENDED[spec.name]
    call = session.open(spec)
    call.quiet = False
    wish = Wished(session, subscriber, kind, call, [])
    session.wish = wish
    session.stalled = True
    if begins:
        board.subscribe(wish, begin(wish, argv[1:], session.proto))
    else:
        board.unsubscribe(wish, end(wish, argv[1:], session.proto))


def begin(wish: Wished, names: list[bytes], proto: int) -> list[bytes]:
    """The names that the client does not have yet; makes the confirmations, one for each name that it says."""
    has = wish.subscriber.names[wish.kind]
    fresh: dict[bytes, bool] = {}
    count = wish.subscriber.count(wish.kind)
    for name in names:
        if name not in has and name not in fresh:
            fresh[name] = True
            count += 1
        wish.frames.append(confirmation(proto, SUBSCRIBE[wish.kind], build.bulk(name), count))
    return list(fresh)


def end(wish: Wished, names: list[bytes], proto: int) -> list[bytes]:
    """The names that the client has, all of them if it says none; makes the confirmations."""
    word = UNSUBSCRIBE[wish.kind]
    has = wish.subscriber.names[wish.kind]
    old: dict[bytes, bool] = {}
    count = wish.subscriber.count(wish.kind)
    for name in names or list(has):
        if name in has and name not in old:
            old[name] = True
            count -= 1
        wish.frames.append(confirmation(proto, word, build.bulk(name), count))
    if not wish.frames:
        wish.frames.append(confirmation(proto, word, build.null(proto), count))
    return list(old)


def confirmation(proto: int, word: bytes, name: bytes, count: int) -> bytes:
    """One push, or one array that looks like a reply."""
    return build.push(proto, [build.bulk(word), name, build.integer(count)])


def depart(session: "ClientSession") -> None:
    """The client goes, or begins anew: nothing of its subscriptions is left, here or at the nodes."""
    subscriber = session.subscriber
    if subscriber is None:
        return
    board = session.house.board(session.pool)
    wish = session.wish
    if wish is not None:
        session.wish = None
        board.cancel(wish)
        wish.call.take(b"")
    session.subscriber = None
    if subscriber.total() > limits.SLICE_NAMES:
        # No message reaches it any more, but its names are taken off in slices.
        subscriber.ledger = Ledger(session.exchange.turn)
        subscriber.ledger.close()
        session.exchange.jobs().add(Departing(board, subscriber))
    else:
        board.depart(subscriber)


@final
class Departing(Job):
    """Takes a client that wants nothing more off very many names."""

    def __init__(self, board: Switchboard, subscriber: Subscriber) -> None:
        self.board = board
        self.subscriber = subscriber

    def step(self) -> bool:
        """Some of them."""
        return self.board.leave_some(self.subscriber, limits.SLICE_NAMES)
