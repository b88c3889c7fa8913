"""PROXY: the proxy's own command. It shows which node is asked, why, and what the nodes are doing.

PROXY NODE sends on a shared connection, so what would change that connection or hold it up is refused; so is what
would make one copy differ from the others.
"""

from functools import partial
from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import (
    ALL_NODES,
    ANY_NODE,
    CHANNEL_NODE,
    DEDICATED,
    LOCAL,
    ONE_SUCCEEDED,
    SCAN_NODES,
    SESSION,
    SINGLE_NODE,
    SPLIT_BY_NODE,
    SUBSCRIBE,
    CommandSpec,
)
from kidoproxy.replies.callbacks import transform_reply
from kidoproxy.replies.handler import ONE_RETRY, ReplyHandler
from kidoproxy.resp import encode, errors
from kidoproxy.resp.decode import error_text, items, string_value
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import AwaitTurn, DirectReply, Gather, LeaderFirst, Plan, Send, Wait
from kidoproxy.routes.topology import Node
from kidoproxy.session import redact, refusal
from kidoproxy.session.base import Answer, Session, SessionHandler
from kidoproxy.session.handlers import info
from kidoproxy.session.handlers.blocking import needs_dedicated
from kidoproxy.session.handlers.proxy_scrub import scrub_reply
from kidoproxy.session.numbers import Totals, gather_totals
from kidoproxy.session.pubsub.topics import needs_every_source
from kidoproxy.upstream.executor import PlanExecutor
from kidoproxy.upstream.out_of_band import OutOfBandExecutor

#: How many arguments of a command are shown, and how many bytes of each.
MAX_SHOWN_ARGUMENTS: Final = 8
MAX_SHOWN_BYTES: Final = 64

REACH_TEXTS: Final[dict[int, str]] = {
    SESSION: "answered by the proxy, it is about the conversation; no node is asked",
    LOCAL: "answered by the proxy; no node is asked",
    SINGLE_NODE: "its keys must meet on one node",
    SPLIT_BY_NODE: "cut by node, replies put together",
    ALL_NODES: "all nodes, replies merged",
    ANY_NODE: "any live node",
    SCAN_NODES: "one node after another, the cursor says which",
    DEDICATED: "one node, on a connection of the client's own",
    CHANNEL_NODE: "the node where its channel lives",
    SUBSCRIBE: "the proxy listens for the client, at the node where a channel lives, or at all",
}

#: The actions of PROXY SYNC, behind the node's name.
SYNC_ACTIONS: Final = (b"refill", b"cancel", b"trust", b"trust confirm")

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
    b"SCRUB [RUN|DRYRUN|CANCEL|STATUS [<pool>]]",
    b"    Compare the copies of this pool, and repair what differs. DRYRUN: only report it. STATUS: what came of it.",
    b"SLOWLOG [GET [<count>]|LEN|RESET]",
    b"    Requests that took longer than slow_ms, and what of it the node took.",
    b"HOTKEYS [<count>]",
    b"    The keys that are asked for most, by a sample.",
    b"BIGKEYS [<count>]",
    b"    The keys with requests or replies of 1 MiB and more.",
    b"STATS",
    b"    The proxy's counters.",
    b"SYNC [<name> [REFILL|CANCEL|TRUST [CONFIRM]]]",
    b"    Copy to this node what it misses; without a name: what syncs are doing. REFILL: empty it first.",
    b"    CANCEL: end its sync. TRUST: when no copy is trusted, what is lost if this one is; CONFIRM: trust it.",
    b"HELP",
    b"    Print this help.",
)


def encode_text(text: str) -> bytes:
    """A line for a person, as bytes."""
    return text.encode("utf-8", "surrogateescape")


# -- NODES, STATS, REPLIES, SYNC -----------------------------------------------------------------------


def nodes_reply(session: Session, totals: Totals) -> bytes:
    """PROXY NODES: one map for each node."""
    rows: list[bytes] = []
    for node in info.node_infos(session, totals):
        pairs: list[bytes] = []
        for name, text in node.text_fields():
            pairs += [encode.bulk(encode_text(name)), encode.bulk(encode_text(text))]
        for name, number in node.count_fields():
            pairs += [encode.bulk(encode_text(name)), encode.integer(number)]
        rows.append(encode.mapping(session.proto, pairs))
    return encode.array(rows)


def stats_reply(session: Session, totals: Totals) -> bytes:
    """PROXY STATS: a map of the counters."""
    pairs: list[bytes] = []
    for name, number in info.counters(session, totals):
        pairs += [encode.bulk(encode_text(name)), encode.integer(number)]
    return encode.mapping(session.proto, pairs)


def send_totals(session: Session, spec: CommandSpec, request: Request) -> None:
    """PROXY NODES or STATS, of all workers; the client's next request waits for it."""
    reply = nodes_reply if spec.handler == handler_ids.PROXY_NODES else stats_reply
    pending = session.open_pending(None)
    gather_totals(session, lambda totals: pending.on_reply(reply(session, totals)))
    if session.replies.open_count() and session.proxy.peers is not None:
        session.suspend_until(0)


def set_replies_mode(session: Session, argv: list[bytes]) -> bytes:
    """PROXY REPLIES MERGED | LIST, for the rest of this session."""
    mode = argv[2].lower()
    if mode not in (b"merged", b"list"):
        return errors.SYNTAX
    session.each_node = mode == b"list"
    session.update_flags()
    return encode.OK


def sync_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY SYNC: begin a sync of one copy, run another action on it, or show what syncs are doing."""
    if len(argv) > 5:
        return errors.wrong_arity(b"proxy|sync")
    if len(argv) == 2:
        pairs: list[bytes] = []
        for node in session.context.root.nodes():
            status = session.proxy.sync_status.get(node.node_id, "")
            if status:
                pairs += [encode.bulk(encode_text(node.name)), encode.bulk(encode_text(status))]
        return encode.mapping(session.proto, pairs)
    target = find_node(session, argv[2])
    if target is None:
        return unknown_node_error(session, argv[2])
    begin_sync = session.proxy.request_sync
    if not target.is_copy or begin_sync is None:
        return errors.sync_refused(target.name, "it is not part of a copy pool, there is nothing to copy from")
    if len(argv) > 3:
        return run_sync_action(session, target, b" ".join(argv[3:]).lower())
    cause = begin_sync(target)
    return errors.sync_refused(target.name, cause) if cause else encode.OK


def run_sync_action(session: Session, node: Node, action: bytes) -> bytes:
    """REFILL, CANCEL, TRUST (shows what would be lost, a line per copy) and TRUST CONFIRM."""
    run_command = session.proxy.run_sync_command
    if run_command is None or action not in SYNC_ACTIONS:
        return errors.wrong_arity(b"proxy|sync")
    cause, lines = run_command(node, action.decode("ascii"))
    if cause:
        return errors.sync_refused(node.name, cause)
    return encode.array([encode.bulk(encode_text(line)) for line in lines]) if lines else encode.OK


def find_node(session: Session, name: bytes) -> Node | None:
    """The node of this pool with that name."""
    for node in session.context.root.nodes():
        if encode_text(node.name) == name:
            return node
    return None


def unknown_node_error(session: Session, name: bytes) -> bytes:
    """The error for a name that no node of the pool has."""
    return errors.unknown_node(name, [node.name for node in session.context.root.nodes()])


# -- NODE ------------------------------------------------------------------------------------------------


def send_to_node(session: Session, proxy_spec: CommandSpec, request: Request) -> None:
    """PROXY NODE: send one command to one node, on a shared connection; SCRIPT KILL goes past it."""
    name = request.argv[2]
    node = find_node(session, name)
    if node is None:
        session.reply_error(unknown_node_error(session, name))
        return
    argv, spec = session.context.commands.resolve_nested(request.argv[proxy_spec.nested_at :])
    error = refusal.find_one_node_refusal(session, node, spec, argv)
    if error is not None or spec is None:
        session.reply_error(error if error is not None else errors.unknown_command(argv))
        return
    handler: ReplyHandler = session.open_pending(spec)
    payload = encode.encode_request(argv)
    if redact.may_hold_secrets(spec):
        handler = transform_reply(handler, partial(redact.redact_reply, spec.secrets))
    if spec.retryable:
        handler.retries_left = ONE_RETRY
        handler.payload = payload
    executor: PlanExecutor = (
        OutOfBandExecutor(session.proxy.dedicated_pool) if spec.response_policy == ONE_SUCCEEDED else session.executor
    )
    executor.send(node, handler, payload, session.proto, session.db)


# -- EACH ------------------------------------------------------------------------------------------------


def dispatch_each(session: Session, proxy_spec: CommandSpec, request: Request) -> None:
    """PROXY EACH: run one command with each node's own reply in a list."""
    argv, spec = session.context.commands.resolve_nested(request.argv[proxy_spec.nested_at :])
    error = refusal.find_refusal(session, spec, argv)
    if error is not None or spec is None:
        session.reply_error(error if error is not None else errors.unknown_command(argv))
    elif spec.reach in (SESSION, SUBSCRIBE):
        session.reply_error(errors.not_for_each(spec.name, "no node is asked"))
    elif needs_dedicated(spec, argv):
        session.reply_error(errors.not_for_each(spec.name, "it needs a connection of the client's own"))
    elif spec.reach == SCAN_NODES:
        session.reply_error(
            errors.not_for_each(spec.name, "it visits one after another; ask one: PROXY NODE <name> SCAN 0")
        )
    else:
        nested = Request(argv, encode.encode_request(argv))
        session.dispatch(spec, nested, session.open_pending(spec), session.request_context.with_per_node(True))


# -- ROUTE -----------------------------------------------------------------------------------------------


def explain_route(session: Session, argv: list[bytes]) -> list[str]:
    """PROXY ROUTE: what the command is, where its keys live, which nodes would get what."""
    argv, spec = session.context.commands.resolve_nested(argv)
    error = refusal.find_refusal(session, spec, argv)
    if error is not None or spec is None:
        return [
            "refused: " + errors.decode_wire(error_text(error if error is not None else errors.unknown_command(argv)))
        ]
    name = errors.decode_wire(spec.name.replace(b"|", b" "))
    lines = [f"command: {name} ({'write' if spec.may_write else 'read'}), {REACH_TEXTS[spec.reach]}"]
    if spec.reach in (SESSION, LOCAL):
        return lines
    for index in key_positions(spec, argv):
        lines.append(f"key: {format_argument(argv[index])} at {index}: {session.context.root.explain(argv[index])}")
    if spec.reach == SUBSCRIBE:
        return lines + explain_subscription(session, spec, argv[1:])
    if spec.reach == CHANNEL_NODE:
        lines.append(f"channel: {format_argument(argv[1])}: {session.context.root.explain(argv[1])}")
    request = Request(argv, encode.encode_request(argv))
    return lines + explain_plan(session.plan(spec, request, session.request_context), request.raw)


def explain_subscription(session: Session, spec: CommandSpec, names: list[bytes]) -> list[str]:
    """For each name where it lives, and the nodes that are subscribed to for it."""
    lines: list[str] = []
    subscriptions = session.proxy.subscriptions_of(session.context)
    kind = spec.topic_kind
    for name in names:
        location = (
            "messages may come from any node" if needs_every_source(kind, name) else session.context.root.explain(name)
        )
        lines.append(f"channel: {format_argument(name)}: {location}")
        for source in subscriptions.sources_of(kind, name):
            node = source.route.pubsub_node()
            if node is not None:
                lines.append(f"listens: {describe_node(node)}: {format_argument(name)}")
    return lines


def explain_plan(plan: Plan, raw: bytes) -> list[str]:
    """One line per node of a plan; ``raw`` is sent where the plan has no payload of its own."""
    lines: list[str] = []
    if isinstance(plan, Send):
        lines.append(f"asks: {describe_node(plan.node)}: {format_request(plan.payload or raw)}")
        for fallback in plan.fallbacks or []:
            lines.append(f"else: {describe_node(fallback)}")
    elif isinstance(plan, Gather):
        frames = plan.frames
        for index, child_plan in enumerate(plan.plans):
            lines += explain_plan(child_plan, frames[index] if frames is not None else raw)
        write = plan.write
        if write is not None:
            request = format_request(write.unawaited_payload or raw)
            lines += [f"tells: {describe_node(node)}, not waited for: {request}" for node in write.unawaited_nodes]
    elif isinstance(plan, Wait):
        lines.append("waits in the proxy; for each attempt:")
        lines += explain_plan(plan.attempts.plan_attempt(), raw)
    elif isinstance(plan, AwaitTurn):
        lines.append("waits until nobody has a turn at its keys; then:")
        lines += explain_plan(plan.plan, raw)
    elif isinstance(plan, LeaderFirst):
        lines += explain_leader_first(plan)
    elif isinstance(plan, DirectReply):
        verb = "refused" if plan.frame[:1] == b"-" else "answered"
        lines.append(f"{verb}: {errors.decode_wire(string_value(plan.frame))}")
    return lines


def explain_leader_first(plan: LeaderFirst) -> list[str]:
    """Who decides, and who is sent what comes of it."""
    group = plan.group
    pubsub_node = group.active_pubsub_node() if plan.asks_pubsub_node else None
    leader = pubsub_node or group.leader(plan.keys[0] if plan.keys else None)
    if leader is None:
        return ["asks: nobody, no copy is in sync"]
    lines = [f"asks: {describe_node(leader)}: {format_request(encode.encode_request(plan.argv))}"]
    for copy in group.copies:
        if copy.node is not leader and copy.node.live:
            lines.append(f"tells: {describe_node(copy.node)}: what comes of it")
    return lines


def describe_node(node: Node) -> str:
    """Name, address and state."""
    return f"{node.name} {node.address} ({info.node_state(node)})"


def format_request(raw: bytes) -> str:
    """A request as one would type it, shortened."""
    arguments = items(raw)
    line = " ".join([format_argument(string_value(argument)) for argument in arguments[:MAX_SHOWN_ARGUMENTS]])
    return line + (f" and {len(arguments) - MAX_SHOWN_ARGUMENTS} more" if len(arguments) > MAX_SHOWN_ARGUMENTS else "")


def format_argument(argument: bytes) -> str:
    """One argument, shortened, in quotes where it could be misread."""
    text = argument[:MAX_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    if not text or not text.isprintable() or " " in text:
        text = repr(text)
    return text + ("..." if len(argument) > MAX_SHOWN_BYTES else "")


# -- all of them --------------------------------------------------------------------------------------------


def route_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY ROUTE."""
    return encode.array([encode.bulk(encode_text(line)) for line in explain_route(session, argv[2:])])


def help_reply(session: Session, argv: list[bytes]) -> bytes:
    """PROXY HELP."""
    return encode.array([encode.simple(line) for line in HELP])


#: The subcommands that ask no node.
ANSWERS: Final[dict[HandlerId, Answer]] = {
    handler_ids.PROXY_HELP: help_reply,
    handler_ids.PROXY_REPLIES: set_replies_mode,
    handler_ids.PROXY_ROUTE: route_reply,
    handler_ids.PROXY_SCRUB: scrub_reply,
    handler_ids.PROXY_SYNC: sync_reply,
}


def answer(session: Session, spec: CommandSpec, request: Request) -> None:
    """One of these."""
    session.send_reply(ANSWERS[spec.handler](session, request.argv))


HANDLERS: Final[dict[HandlerId, SessionHandler]] = {
    handler_ids.PROXY_EACH: dispatch_each,
    handler_ids.PROXY_NODE: send_to_node,
    handler_ids.PROXY_NODES: send_totals,
    handler_ids.PROXY_STATS: send_totals,
    **dict.fromkeys(ANSWERS, answer),
}
