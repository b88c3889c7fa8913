"""EVAL, FCALL, SCRIPT and FUNCTION: sent like others; scripts are recorded, so that nodes can get them again."""

from collections.abc import Callable
from functools import partial
from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.handler_ids import HandlerId
from kidoproxy.commands.spec import ONE_SUCCEEDED, REFUSED, SCRIPT_DIGEST, SCRIPT_TEXT, CommandSpec
from kidoproxy.replies.callbacks import InterceptingHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors, script_errors
from kidoproxy.resp.decode import is_error, items, string_value
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import PARTIAL
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.scripts import find_analysis
from kidoproxy.scripts.evalsha import EvalshaExecutor, ScriptLoadExecutor
from kidoproxy.scripts.registry import ExpectedLibrary, ScriptRegistry
from kidoproxy.scripts.resolve import ScriptInputs, called_commands
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import blocking
from kidoproxy.session.peers import SCRIPT_TEXT as SCRIPT_TEXT_OF
from kidoproxy.session.peers import Answers, Peers
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.transaction import Transaction

LOAD_COMMANDS: Final = (handler_ids.SCRIPT_LOAD, handler_ids.FUNCTION_LOAD)
LIBRARY_CHANGE_COMMANDS: Final = (
    handler_ids.FUNCTION_DELETE,
    handler_ids.FUNCTION_FLUSH,
    handler_ids.FUNCTION_RESTORE,
)


def changes_libraries(spec: CommandSpec) -> bool:
    """Whether the command changes the libraries of functions."""
    return spec.handler == handler_ids.FUNCTION_LOAD or spec.handler in LIBRARY_CHANGE_COMMANDS


def find_refusal(session: Session, spec: CommandSpec, argv: list[bytes]) -> bytes | None:
    """Why a script is refused: its text calls a command that the pool refuses, or that the user may not run."""
    analysis = find_analysis(session.context.script_registry, spec, argv, session.multi is not None)
    if analysis is None:
        return None
    calls = called_commands(analysis, ScriptInputs(argv)) if analysis.dynamic_calls else analysis.commands
    commands = session.context.commands
    if analysis.dynamic_calls or analysis.denied_by is not commands:
        analysis.denied_command, analysis.denied_reason = first_unserved(commands, calls)
        analysis.denied_by = commands
    if analysis.denied_command:
        return errors.not_served(
            spec.name, f"its script calls '{errors.truncate_word(analysis.denied_command)}': {analysis.denied_reason}"
        )
    if not session.user.unrestricted:
        for name, called_spec in calls.items():
            if called_spec is not None and not session.user.acl.allows_command(called_spec):
                return script_errors.call_forbidden(spec.name, name)
    return None


def first_unserved(command_set: CommandSet, calls: dict[bytes, CommandSpec | None]) -> tuple[bytes, str]:
    """The first of these commands that the pool does not serve, and why; two empty values when it serves all."""
    for name, spec in calls.items():
        reason = ""
        if command_set.is_renamed_away(name.partition(b"|")[0]):
            reason = "this pool has another name for it, or none"
        elif spec is None:
            reason = "this pool's configuration denies it" if name in command_set.deny else ""
        else:
            # Of a container command the subcommand may not be known.
            reason = command_set.refusal(spec) or (
                spec.reason if spec.reach == REFUSED and spec.subcommands is None else ""
            )
        if reason:
            return name, reason
    return b"", ""


def dispatch(
    session: Session, spec: CommandSpec, request: Request, handler: ReplyHandler, request_context: RequestContext
) -> None:
    """Plan and execute a scripting command; EVALSHA, the loads and the kills have executors of their own."""
    executor = session.executor
    plan = session.plan(spec, request, request_context)
    load_executor = ScriptLoadExecutor(executor) if spec.handler in LOAD_COMMANDS else None
    handler = record_script_and_wrap(session, spec, request.argv, handler, load_executor)
    if spec.script_source == SCRIPT_DIGEST:
        has_followers = session.reader.buffered_bytes() > 0
        digest = request.argv[1].lower()
        evalsha_executor = EvalshaExecutor(
            executor, session.context.script_registry, digest, request.raw, session.replies, handler, has_followers
        )
        evalsha_executor.ask_peers = script_search(session)
        evalsha_executor.execute(plan, handler, request.raw, spec, request_context)
    elif load_executor is not None:
        load_executor.execute(plan, handler, request.raw, spec, request_context)
    elif spec.response_policy == ONE_SUCCEEDED:
        blocking.send_kill(session, spec, request, handler, request_context)
    else:
        executor.execute(plan, handler, request.raw, spec, request_context)


def record_script_and_wrap(
    session: Session,
    spec: CommandSpec,
    argv: list[bytes],
    handler: ReplyHandler,
    load_executor: ScriptLoadExecutor | None,
) -> ReplyHandler:
    """Record the script of this command; the handler for its reply, which records changes that need a success.

    ``load_executor``: what sends one of `LOAD_COMMANDS` outside of transactions.
    """
    handler_id = spec.handler
    registry = session.context.script_registry
    if spec.script_source == SCRIPT_TEXT:
        registry.remember(argv[1])
    elif handler_id == handler_ids.SCRIPT_FLUSH:
        if len(argv) == 2 or (len(argv) == 3 and argv[2].lower() in (b"async", b"sync")):
            forget_scripts(session.proxy, session.context)
            return sharing_handler(session, spec, argv, handler)
    elif handler_id in LOAD_COMMANDS:
        if handler_id == handler_ids.SCRIPT_LOAD:
            registry.remember(argv[2])
        return record_on_success(
            registry, handler_id, argv, sharing_handler(session, spec, argv, handler), load_executor
        )
    elif handler_id in LIBRARY_CHANGE_COMMANDS:
        registry.expect_removal(argv[2] if handler_id == handler_ids.FUNCTION_DELETE else None)
        return record_on_success(registry, handler_id, argv, sharing_handler(session, spec, argv, handler), None)
    return handler


def sharing_handler(session: Session, spec: CommandSpec, argv: list[bytes], parent: ReplyHandler) -> ReplyHandler:
    """Tells the other workers of a change that some node has made, before ``parent`` gets the reply."""
    peers = session.proxy.peers
    if peers is None or session.context.has_copies:
        return parent
    asked = peers

    def on_reply(raw: bytes) -> None:
        if has_success(raw) or (spec.handler not in LOAD_COMMANDS and raw.startswith(b"-PARTIAL")):
            tell_others(session, asked, spec, argv, lambda answers: parent.on_reply(raw))
        else:
            parent.on_reply(raw)

    def on_failure(failure: NodeFailure) -> None:
        if failure.code == PARTIAL and spec.handler not in LOAD_COMMANDS:
            tell_others(session, asked, spec, argv, lambda answers: parent.on_failure(failure))
        else:
            parent.on_failure(failure)

    return InterceptingHandler(parent, on_reply, on_failure)


def tell_others(
    session: Session, peers: Peers, spec: CommandSpec, argv: list[bytes], go_on: Callable[[Answers], None]
) -> None:
    """Tell every other worker of the change, then go on."""
    peers.ask(peers.others, session.context.name, [spec.name, *argv], go_on)


def has_success(raw: bytes) -> bool:
    """Whether some node has done it: a list has each node's own reply."""
    return any(not is_error(item) for item in (items(raw) if raw[:1] == b"*" else [raw]))


def learn_change(registry: ScriptRegistry, handler_id: HandlerId, argv: list[bytes]) -> None:
    """Another worker's client has changed scripts or libraries."""
    if handler_id == handler_ids.SCRIPT_LOAD:
        registry.remember(argv[2])
    RECORDERS[handler_id](registry, argv)


def forget_scripts(proxy: ProxyState, context: PoolContext) -> None:
    """SCRIPT FLUSH: forget all scripts, and which of them the connections have loaded."""
    context.script_registry.flush_scripts()
    for node in context.root.nodes():
        for conn in proxy.executor.connections_to(node):
            conn.loaded_scripts.clear()
            conn.kept_scripts = {}


def script_search(session: Session) -> Callable[[bytes, Callable[[], None]], None] | None:
    """Has the registry learn a script from the other workers, then goes on."""
    peers = session.proxy.peers
    if peers is None or session.context.has_copies:
        return None
    asked, context = peers, session.context

    def search(digest: bytes, go_on: Callable[[], None]) -> None:
        def take(answers: Answers) -> None:
            for part in answers.values():
                if part is not None:
                    context.script_registry.remember(string_value(part))
            go_on()

        asked.ask(asked.others, context.name, [SCRIPT_TEXT_OF, digest], take)

    return search


def preload_in_transaction(
    session: Session, transaction: Transaction, spec: CommandSpec, argv: list[bytes], plan: Plan
) -> None:
    """Load the script of an EVALSHA before MULTI: inside EXEC a NOSCRIPT could not be retried."""
    if spec.script_source == SCRIPT_TEXT:
        session.context.script_registry.remember(argv[1])
    elif spec.script_source == SCRIPT_DIGEST:
        digest = argv[1].lower()
        script = session.context.script_registry.find_script(digest)
        if script is not None:
            for send in sends_of_original_request(plan):
                transaction.preload(send.node, digest, script.text)


def sends_of_original_request(plan: Plan) -> list[Send]:
    """The sends of a plan whose payload is the request itself."""
    if isinstance(plan, Send):
        return [plan] if plan.payload is None else []
    return (
        [send for subplan in plan.plans for send in sends_of_original_request(subplan)]
        if isinstance(plan, Gather)
        else []
    )


def record_script(registry: ScriptRegistry, argv: list[bytes]) -> None:
    """SCRIPT LOAD script."""
    registry.mark_loaded(argv[2])


def record_library(registry: ScriptRegistry, argv: list[bytes]) -> None:
    """FUNCTION LOAD [REPLACE] library."""
    registry.load_library(argv[-1])


def record_deletion(registry: ScriptRegistry, argv: list[bytes]) -> None:
    """FUNCTION DELETE library."""
    registry.delete_library(argv[2])


def record_flush(registry: ScriptRegistry, argv: list[bytes]) -> None:
    """FUNCTION FLUSH."""
    registry.flush_libraries()


def record_restore(registry: ScriptRegistry, argv: list[bytes]) -> None:
    """FUNCTION RESTORE dump [policy]."""
    registry.restore_libraries(argv[2], argv[3] if len(argv) > 3 else b"append")


#: How the registry learns from a command that has succeeded.
RECORDERS: Final[dict[HandlerId, Callable[[ScriptRegistry, list[bytes]], None]]] = {
    handler_ids.FUNCTION_DELETE: record_deletion,
    handler_ids.FUNCTION_FLUSH: record_flush,
    handler_ids.FUNCTION_LOAD: record_library,
    handler_ids.FUNCTION_RESTORE: record_restore,
    handler_ids.SCRIPT_LOAD: record_script,
}


def record_on_success(
    registry: ScriptRegistry,
    handler_id: HandlerId,
    argv: list[bytes],
    parent: ReplyHandler,
    load_executor: ScriptLoadExecutor | None,
) -> ReplyHandler:
    """Records a change of scripts or libraries in the registry once it has succeeded.

    The functions of a library that is loaded are known at once, for what its client sends behind it.

    A change that is no load is recorded, too, when only some nodes have made it: a library that these have deleted
    must not be loaded again. ``load_executor``: as for `record_script_and_wrap`.
    """
    partial_success_counts = handler_id not in LOAD_COMMANDS
    is_library = handler_id == handler_ids.FUNCTION_LOAD
    expected = registry.expect_library(argv[-1], len(argv) > 3) if is_library else None
    record = partial(record_change, registry, handler_id, argv, load_executor, expected)

    def on_reply(raw: bytes) -> None:
        if has_success(raw) or (partial_success_counts and raw.startswith(b"-PARTIAL")):
            record()
        elif expected is not None:
            registry.give_up_library(expected)
        parent.on_reply(raw)

    def on_failure(failure: NodeFailure) -> None:
        if failure.code == PARTIAL and partial_success_counts:
            record()
        elif expected is not None:
            registry.give_up_library(expected)
        parent.on_failure(failure)

    return InterceptingHandler(parent, on_reply, on_failure)


def record_change(
    registry: ScriptRegistry,
    handler_id: HandlerId,
    argv: list[bytes],
    load_executor: ScriptLoadExecutor | None,
    expected: ExpectedLibrary | None,
) -> None:
    """One of `LOAD_COMMANDS` or `LIBRARY_CHANGE_COMMANDS` has succeeded, of a library as ``expected``."""
    if expected is not None:
        registry.load_library(argv[-1], True)
    else:
        RECORDERS[handler_id](registry, argv)
    if load_executor is not None:
        load_executor.warm_up_missing()
