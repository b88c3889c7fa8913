"""SUBSCRIBE and its kin: a client's subscriptions, and the confirmations that it gets, in Redis's own shape.

Such a request waits until all before it is answered, and those behind it wait until the nodes have
confirmed it; its confirmations leave at one go, before the first message. They and messages are pushes,
which CLIENT REPLY OFF does not silence.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import limits
from kidoproxy.channels.topics import BEGUN, ENDED, SUBSCRIBE, UNSUBSCRIBE, Subscriber, Wish
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.ledger import Call
from kidoproxy.resp import build
from kidoproxy.session import account

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
        self.call.take(session.pool.told(error) if error else b"".join(self.frames))
        session.settle()
        session.wake()


def handle(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> None:
    """One request; everything before it has been answered."""
    subscriber = session.subscriber
    if subscriber is None:
        subscriber = Subscriber(session.id, session.ledger, session.proto)
        session.subscriber = subscriber
    board = session.house.board(session.pool)
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
    board.depart(subscriber)
    session.subscriber = None
