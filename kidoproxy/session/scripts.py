"""EVAL, FCALL, SCRIPT and FUNCTION: planned like others; what they say is noted, so that no node forgets it."""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import errors
from kidoproxy.commands.spec import ONE_OK, REFUSED, CommandSpec
from kidoproxy.commands.vocabulary import Vocabulary
from kidoproxy.errors import NodeFailure
from kidoproxy.errors_loading import PARTIAL
from kidoproxy.exchange_multi import Transaction
from kidoproxy.exchange_scripts import Loading, Reciting
from kidoproxy.ledger import Leg
from kidoproxy.resp.open import is_error, items
from kidoproxy.resp.requests import Request
from kidoproxy.routes.book import Book
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.scripts import known
from kidoproxy.scripts.request import Inputs, commands
from kidoproxy.session import lanes

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

RUNS: Final = (b"eval", b"eval_ro", b"evalsha", b"evalsha_ro", b"fcall", b"fcall_ro")
TEXTS: Final = (b"eval", b"eval_ro")
DIGESTS: Final = (b"evalsha", b"evalsha_ro")
LOADS: Final = (b"script|load", b"function|load")
CHANGES: Final = (b"function|delete", b"function|flush", b"function|restore")


def refusal(session: "ClientSession", spec: CommandSpec, argv: list[bytes]) -> bytes | None:
    """Why a script is not served: it can be seen to call what this pool refuses, or what its user may not run."""
    analysis = known(session.pool.book, spec, argv, session.queue is not None)
    if analysis is None:
        return None
    called = commands(analysis, Inputs(argv)) if analysis.dynamic else analysis.commands
    if analysis.dynamic or not analysis.is_judged:
        analysis.denied, analysis.denied_why = denied(session.pool.words, called)
        analysis.is_judged = True
    if analysis.denied:
        return errors.denied(spec.name, f"its script calls '{errors.word(analysis.denied)}': {analysis.denied_why}")
    if not session.user.free:
        for name, one in called.items():
            if one is not None and not session.user.permit.allows(one):
                return errors.calls_forbidden(spec.name, name)
    return None


def denied(words: Vocabulary, called: dict[bytes, CommandSpec | None]) -> tuple[bytes, str]:
    """The first of these commands that a pool does not serve, and why; empty when it serves them all."""
    for name, spec in called.items():
        why = ""
        if words.hides(name.partition(b"|")[0]):
            why = "this pool has another name for it, or none"
        elif spec is None:
            why = "this pool's configuration denies it" if name in words.deny else ""
        else:
            # Which subcommand a container is asked for is not known, or not to us.
            why = words.refused(spec) or (spec.reason if spec.reach == REFUSED and spec.subs is None else "")
        if why:
            return name, why
    return b"", ""


def dispatch(session: "ClientSession", spec: CommandSpec, request: Request, leg: Leg) -> None:
    """Plan and walk, each in its own way."""
    exchange = session.exchange
    plan = session.plan(spec, request)
    leg = heard(session, spec, request.argv, leg)
    if spec.name in DIGESTS:
        more = session.reader.buffered() > 0
        digest = request.argv[1].lower()
        walk = Reciting(exchange, session.pool.book, digest, request.raw, session.ledger, leg, more)
        walk.scatter(plan, leg, request.raw, spec, session.ask)
    elif isinstance(leg, Noted) and leg.loading is not None:
        leg.loading.scatter(plan, leg, request.raw, spec, session.ask)
    elif spec.rule == ONE_OK:
        lanes.kill(session, spec, request, leg)
    else:
        exchange.scatter(plan, leg, request.raw, spec, session.ask)


def heard(session: "ClientSession", spec: CommandSpec, argv: list[bytes], leg: Leg) -> Leg:
    """A script passes by; the leg that takes the reply, which notes it if it changes what nodes must know."""
    name = spec.name
    book = session.pool.book
    if name in TEXTS:
        book.learn(argv[1])
    elif name == b"script|flush":
        if len(argv) == 2 or (len(argv) == 3 and argv[2].lower() in (b"async", b"sync")):
            forget(session)
    elif name in LOADS:
        if name == b"script|load":
            book.learn(argv[2])
        return Noted(book, name, argv, leg, Loading(session.exchange))
    elif name in CHANGES:
        return Noted(book, name, argv, leg, None)
    return leg


def forget(session: "ClientSession") -> None:
    """SCRIPT FLUSH: nothing is known any more, and no connection counts as having carried anything."""
    session.pool.book.flush()
    for node in session.pool.root.nodes():
        for link in session.exchange.links_of(node):
            link.taught.clear()


def recite(
    session: "ClientSession", transaction: Transaction, spec: CommandSpec, argv: list[bytes], plan: Plan
) -> None:
    """The text of an EVALSHA inside a transaction goes ahead of MULTI: what EXEC refuses cannot be mended."""
    if spec.name in TEXTS:
        session.pool.book.learn(argv[1])
    elif spec.name in DIGESTS:
        digest = argv[1].lower()
        script = session.pool.book.script(digest)
        if script is not None:
            for send in sends(plan):
                transaction.recite(send.node, digest, script.text)


def sends(plan: Plan) -> list[Send]:
    """The parts of a plan that send the request as it is."""
    if isinstance(plan, Send):
        return [plan] if plan.payload is None else []
    return [send for part in plan.plans for send in sends(part)] if isinstance(plan, Gather) else []


@final
class Noted(Leg):
    """Around the leg of a request that changes what the nodes must know: if it worked, the book has it."""

    def __init__(self, book: Book, name: bytes, argv: list[bytes], parent: Leg, loading: Loading | None) -> None:
        super().__init__()
        self.book = book
        self.name = name
        self.argv = argv
        self.parent = parent
        self.loading = loading

    def take(self, raw: bytes) -> None:
        """A list is each node's own reply: one that took it is enough."""
        if any(not is_error(item) for item in (items(raw) if raw[:1] == b"*" else [raw])):
            self.note()
        elif self.loading is None and raw.startswith(b"-PARTIAL"):
            # What some nodes have lost on purpose must not come back by itself.
            self.note()
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """It reached nobody, or nobody knows; some have it."""
        if failure.code == PARTIAL and self.loading is None:
            # What some nodes have lost on purpose must not come back by itself.
            self.note()
        self.parent.fail(failure)

    def hold(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.hold(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()

    def note(self) -> None:
        """Write it down."""
        book = self.book
        argv = self.argv
        if self.name == b"script|load":
            book.load(argv[2])
        elif self.name == b"function|load":
            book.load_library(argv[-1])
        elif self.name == b"function|delete":
            book.delete_library(argv[2])
        elif self.name == b"function|flush":
            book.flush_libraries()
        else:
            book.restore_libraries(argv[2], argv[3] if len(argv) > 3 else b"append")
        if self.loading is not None:
            self.loading.catch_up()
