"""PROXY: our own command. A person sees which node, why, and what it is doing now.

Nothing here may upset others: a link is shared, so PROXY NODE sends only what leaves the link as it was,
and what would make one copy differ from the others is refused.
"""

from typing import TYPE_CHECKING, Final

from kidoproxy import errors
from kidoproxy.channels.topics import BEGUN, ENDED, is_everywhere
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import (
    ANY,
    CHANNEL,
    EVERY,
    LANE,
    LISTEN,
    LOCAL,
    ONE,
    ONE_OK,
    REFUSED,
    SCAN,
    SESSION,
    SPLIT,
    WRITE,
    CommandSpec,
)
from kidoproxy.exchange import Wire
from kidoproxy.exchange_past_all import PastAll
from kidoproxy.ledger import AGAIN, Leg
from kidoproxy.resp import build
from kidoproxy.resp.open import bulk, error_text, items
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.topology import Node
from kidoproxy.session import facts, redact, refusals, scripts
from kidoproxy.session.lanes import needed

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: A refusal with these words is about the pool as a whole, not about one node.
ONE_NODE: Final = "ask one node: PROXY NODE"

#: How many words of a command are shown, and how much of each.
SHOWN_WORDS: Final = 8
SHOWN_BYTES: Final = 64

REACHES: Final[dict[int, str]] = {
    SESSION: "answered by the proxy, it is about the conversation; no node is asked",
    LOCAL: "answered by the proxy; no node is asked",
    ONE: "its keys must meet on one node",
    SPLIT: "cut by node, replies put together",
    EVERY: "all nodes, replies merged",
    ANY: "any live node",
    SCAN: "one node after another, the cursor says which",
    LANE: "one node, on a link of the client's own",
    CHANNEL: "the node where its channel lives",
    LISTEN: "the proxy listens for the client, at the node where a channel lives, or at all",
}

#: What may stand behind the name in PROXY SYNC.
COPY_ORDERS: Final = (b"refill", b"cancel", b"trust", b"trust confirm")

HELP: Final = (
    b"PROXY <subcommand> [<arg> ...]. Subcommands are:",
    b"NODES",
    b"    Each node of this pool: address, state, version, links, what it is doing.",
    b"ROUTE <command> [<arg> ...]",
    b"    Who would be asked, why, and with what. Nothing is sent.",
    b"NODE <name> <command> [<arg> ...]",
    b"    Ask just this node.",
    b"EACH <command> [<arg> ...]",
    b"    Ask as usual, and list each node's own reply.",
    b"REPLIES (MERGED|LIST)",
    b"    LIST: from now on as if EACH stood before every command of this connection.",
    b"STATS",
    b"    The proxy's counters.",
    b"SYNC [<name> [REFILL|CANCEL|TRUST [CONFIRM]]]",
    b"    Copy to this node what it misses; without a name: what syncs are doing. REFILL: empty it first.",
    b"    CANCEL: end its sync. TRUST: when no copy is trusted, what is lost if this one is; CONFIRM: trust it.",
    b"HELP",
    b"    Print this help.",
)


def handle(session: "ClientSession", spec: CommandSpec, request: Request) -> None:
    """One PROXY subcommand; its reply takes its place in the ledger now, or when the nodes have answered."""
    name = spec.name
    argv = request.argv
    if name == b"proxy|node":
        ask_node(session, argv[2], argv[3:])
    elif name == b"proxy|each":
        ask_each(session, argv[2:])
    else:
        session.answer(answer(session, name, argv))


def answer(session: "ClientSession", name: bytes, argv: list[bytes]) -> bytes:
    """The subcommands that ask no node."""
    if name == b"proxy|nodes":
        return nodes(session)
    if name == b"proxy|route":
        return build.array([build.bulk(wire(line)) for line in route(session, argv[2:])])
    if name == b"proxy|stats":
        return stats(session)
    if name == b"proxy|replies":
        return replies(session, argv[2].lower())
    if name == b"proxy|sync":
        return sync(session, argv)
    return build.array([build.simple(line) for line in HELP])


def wire(text: str) -> bytes:
    """A line for a person, as bytes."""
    return text.encode("utf-8", "surrogateescape")


# -- NODES, STATS, REPLIES, SYNC -----------------------------------------------------------------------


def nodes(session: "ClientSession") -> bytes:
    """One map for each node."""
    rows: list[bytes] = []
    for node in facts.node_facts(session):
        flat: list[bytes] = []
        for name, text in node.texts():
            flat += [build.bulk(wire(name)), build.bulk(wire(text))]
        for name, number in node.counts():
            flat += [build.bulk(wire(name)), build.integer(number)]
        rows.append(build.mapping(session.proto, flat))
    return build.array(rows)


def stats(session: "ClientSession") -> bytes:
    """A map of the counters."""
    flat: list[bytes] = []
    for name, number in facts.counters(session):
        flat += [build.bulk(wire(name)), build.integer(number)]
    return build.mapping(session.proto, flat)


def replies(session: "ClientSession", word: bytes) -> bytes:
    """MERGED or LIST, for the rest of this conversation."""
    if word not in (b"merged", b"list"):
        return errors.SYNTAX
    session.each = word == b"list"
    session.settle()
    return build.OK


def sync(session: "ClientSession", argv: list[bytes]) -> bytes:
    """Begin a sync of one copy, or say what syncs are doing; or another order about a copy."""
    if len(argv) > 5:
        return errors.wrong_arity(b"proxy|sync")
    if len(argv) == 2:
        flat: list[bytes] = []
        for node in session.pool.root.nodes():
            doing = session.house.syncs.get(node.index, "")
            if doing:
                flat += [build.bulk(wire(node.name)), build.bulk(wire(doing))]
        return build.mapping(session.proto, flat)
    node_or_none = named(session, argv[2])
    if node_or_none is None:
        return unknown(session, argv[2])
    begin = session.house.begin_sync
    if node_or_none.group is None or begin is None:
        return errors.no_sync(node_or_none.name, "it is not part of a copy pool, there is nothing to copy from")
    if len(argv) > 3:
        return order_copy(session, node_or_none, b" ".join(argv[3:]).lower())
    problem = begin(node_or_none)
    return errors.no_sync(node_or_none.name, problem) if problem else build.OK


def order_copy(session: "ClientSession", node: Node, word: bytes) -> bytes:
    """REFILL, CANCEL, TRUST (what would be lost, a line for each copy) and TRUST CONFIRM."""
    order = session.house.order_copy
    if order is None or word not in COPY_ORDERS:
        return errors.wrong_arity(b"proxy|sync")
    problem, lines = order(node, word.decode("ascii"))
    if problem:
        return errors.no_sync(node.name, problem)
    return build.array([build.bulk(wire(line)) for line in lines]) if lines else build.OK


def named(session: "ClientSession", name: bytes) -> Node | None:
    """The node of this pool with that name."""
    for node in session.pool.root.nodes():
        if wire(node.name) == name:
            return node
    return None


def unknown(session: "ClientSession", name: bytes) -> bytes:
    """The error for a name that no node has."""
    return errors.unknown_node(name, [node.name for node in session.pool.root.nodes()])


# -- NODE ------------------------------------------------------------------------------------------------


def ask_node(session: "ClientSession", name: bytes, argv: list[bytes]) -> None:
    """Send one command to one node, on the link that all clients share; a KILL goes past it."""
    node = named(session, name)
    if node is None:
        session.refuse(unknown(session, name))
        return
    argv, spec = session.pool.words.meant(argv)
    problem = unfit(session, node, spec, argv)
    if problem is not None or spec is None:
        session.refuse(problem if problem is not None else errors.unknown_command(argv))
        return
    leg: Leg = session.open(spec)
    payload = build.command(argv)
    if redact.tells(spec):
        leg = redact.Redacted(leg, spec.name, False)
    if spec.repeatable:
        leg.tries = AGAIN
        leg.payload = payload
    wire: Wire = PastAll(session.house.lanes) if spec.rule == ONE_OK else session.exchange
    wire.send(node, leg, payload, session.proto, session.db)


def unfit(session: "ClientSession", node: Node, spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """Why this command is not sent to this node; None when it is."""
    if spec is None:
        return errors.unknown_command(argv)
    if spec.subs is not None and len(argv) > 1:
        return errors.unknown_subcommand(argv)
    if not spec.accepts(len(argv)):
        return errors.wrong_arity(spec.name)
    denial = session.user.refusal(spec, argv)
    if denial is not None:
        return denial
    why = session.pool.words.refused(spec)
    if not why and spec.reach == REFUSED:
        why = spec.reason
    if why and ONE_NODE not in why:
        return errors.denied(spec.name, why)
    if spec.name in redact.USERS:
        return errors.not_for_one_node(spec.name, "a node's users are its operator's; ACL alone tells of this pool's")
    if spec.reach == SESSION:
        return errors.not_for_one_node(spec.name, "it would change a link that all clients share")
    if needed(spec, argv) or spec.reach == LISTEN:
        return errors.not_for_one_node(spec.name, "it would hold up a link that all clients share")
    if node.group is not None and (spec.flags & WRITE or (spec.write and spec.reach == ONE)):
        return errors.not_for_one_node(spec.name, "one copy would then differ from the others")
    return scripts.refusal(session, spec, argv) if spec.name in scripts.RUNS else None


# -- EACH ------------------------------------------------------------------------------------------------


def ask_each(session: "ClientSession", argv: list[bytes]) -> None:
    """As usual, but each node's own reply is listed."""
    argv, spec = session.pool.words.meant(argv)
    refusal = refusals.why(session, spec, argv)
    if refusal is not None or spec is None:
        session.refuse(refusal if refusal is not None else errors.unknown_command(argv))
    elif spec.reach in (SESSION, LISTEN):
        session.refuse(errors.not_for_each(spec.name, "no node is asked"))
    elif needed(spec, argv):
        session.refuse(errors.not_for_each(spec.name, "it needs a link of the client's own"))
    elif spec.reach == SCAN:
        session.refuse(errors.not_for_each(spec.name, "it visits one after another; ask one: PROXY NODE <name> SCAN 0"))
    else:
        session.ask.each = True
        session.dispatch(spec, Request(argv, build.command(argv)), session.open(spec))
        session.ask.each = session.each


# -- ROUTE -----------------------------------------------------------------------------------------------


def route(session: "ClientSession", argv: list[bytes]) -> list[str]:
    """Lines for a person: what the command is, where its keys are, who is asked with what."""
    argv, spec = session.pool.words.meant(argv)
    refusal = refusals.why(session, spec, argv)
    if refusal is not None or spec is None:
        return ["refused: " + errors.text(error_text(refusal if refusal is not None else errors.unknown_command(argv)))]
    name = errors.text(spec.name.replace(b"|", b" "))
    lines = [f"command: {name} ({'write' if spec.write else 'read'}), {REACHES[spec.reach]}"]
    if spec.reach in (SESSION, LOCAL):
        return lines
    for at in keys(spec, argv):
        lines.append(f"key: {shown(argv[at])} at {at}: {session.pool.root.why(argv[at])}")
    if spec.reach == LISTEN:
        return lines + listened(session, spec, argv[1:])
    if spec.reach == CHANNEL:
        lines.append(f"channel: {shown(argv[1])}: {session.pool.root.why(argv[1])}")
    request = Request(argv, build.command(argv))
    return lines + drawn(session.plan(spec, request), request.raw)


def listened(session: "ClientSession", spec: CommandSpec, names: list[bytes]) -> list[str]:
    """For each name where it lives, and the nodes that are listened to for it."""
    lines: list[str] = []
    board = session.house.board(session.pool)
    kind = BEGUN[spec.name] if spec.name in BEGUN else ENDED[spec.name]
    for name in names:
        where = "messages may come from any node" if is_everywhere(kind, name) else session.pool.root.why(name)
        lines.append(f"channel: {shown(name)}: {where}")
        for station in board.homes(kind, name):
            node = station.leaf.voice()
            if node is not None:
                lines.append(f"listens: {introduced(node)}: {shown(name)}")
    return lines


def drawn(plan: Plan, raw: bytes) -> list[str]:
    """One line for each node of a plan; ``raw`` is what is sent where the plan says nothing else."""
    lines: list[str] = []
    if isinstance(plan, Send):
        lines.append(f"asks: {introduced(plan.node)}: {request_line(plan.payload or raw)}")
        for other in plan.others or []:
            lines.append(f"else: {introduced(other)}")
    elif isinstance(plan, Gather):
        raws = plan.raws
        for at, part in enumerate(plan.plans):
            lines += drawn(part, raws[at] if raws is not None else raw)
        for node in plan.strays:
            lines.append(f"tells: {introduced(node)}, not waited for: {request_line(plan.stray_payload or raw)}")
    elif isinstance(plan, Answer):
        word = "refused" if plan.frame[:1] == b"-" else "answered"
        lines.append(f"{word}: {errors.text(bulk(plan.frame))}")
    return lines


def introduced(node: Node) -> str:
    """Name, address and state."""
    return f"{node.name} {node.address} ({facts.state(node)})"


def request_line(raw: bytes) -> str:
    """A request as a person would type it, shortened."""
    words = items(raw)
    line = " ".join([shown(bulk(word)) for word in words[:SHOWN_WORDS]])
    return line + (f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else "")


def shown(word: bytes) -> str:
    """One word, shortened, in quotes where it could be misread."""
    text = word[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    if not text or not text.isprintable() or " " in text:
        text = repr(text)
    return text + ("..." if len(word) > SHOWN_BYTES else "")
