"""The tables of handlers are complete: what a command's data names is there, and all that is there is named."""

from kidoproxy.commands import handler_ids
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.handler_ids import NO_HANDLER
from kidoproxy.commands.spec import (
    DEDICATED,
    IN_MULTI_AT_ONCE,
    IN_MULTI_BOUNDARY,
    IN_MULTI_REFUSED,
    LOCAL,
    SESSION,
    SUBSCRIBE,
    CommandSpec,
)
from kidoproxy.session.handlers import all_workers, blocking, local, scripts, session_commands
from kidoproxy.session.session import SESSION_HANDLERS


def served(*reaches: int) -> list[CommandSpec]:
    """The commands of these reaches, without containers that are nothing without a subcommand."""
    return [spec for spec in all_specs() if spec.reach in reaches and (spec.subcommands is None or spec.accepts(1))]


def handlers_of(*reaches: int) -> set[int]:
    """The handlers that commands of these reaches name."""
    return {spec.handler for spec in served(*reaches)}


def test_what_the_session_answers_has_a_handler() -> None:
    """Every command of these reaches, and no two that are not the same to the session."""
    for spec in served(SESSION, LOCAL, SUBSCRIBE):
        assert spec.handler != NO_HANDLER, spec


def test_the_tables_of_the_session() -> None:
    """Each number of a command about the session has its function, and no function is left over."""
    assert set(SESSION_HANDLERS) | set(session_commands.ANSWERS) == handlers_of(SESSION)


def test_what_a_transaction_may_hold_has_an_answer() -> None:
    """EXEC knows the answers alone, and what all workers do: all that MULTI queues must have one."""
    not_queued = (IN_MULTI_AT_ONCE, IN_MULTI_BOUNDARY, IN_MULTI_REFUSED)
    queued = {spec.handler for spec in served(SESSION) if spec.in_multi not in not_queued}
    assert queued <= {*session_commands.ANSWERS, *all_workers.PARTS}


def test_the_table_of_local_commands() -> None:
    """Each has its answer, and no answer is left over."""
    assert set(local.ANSWERS) == handlers_of(LOCAL)


def test_the_table_of_dedicated_connections() -> None:
    """What has no handler there blocks until its reply comes."""
    assert set(blocking.HANDLERS) == handlers_of(DEDICATED) - {NO_HANDLER}


def test_subscriptions() -> None:
    """They begin or end; which topics are meant stands beside it."""
    assert handlers_of(SUBSCRIBE) == {handler_ids.SUBSCRIBE_TOPICS, handler_ids.UNSUBSCRIBE_TOPICS}


def test_what_is_sent_to_nodes_alone_has_no_handler() -> None:
    """Handlers belong to the reaches above, and to what changes scripts or libraries."""
    known = handlers_of(SESSION, LOCAL, DEDICATED, SUBSCRIBE) | {NO_HANDLER}
    recorded = {spec.handler for spec in all_specs() if spec.handler not in known}
    assert recorded == {*scripts.RECORDERS, handler_ids.SCRIPT_FLUSH}
    assert {*scripts.LOAD_COMMANDS, *scripts.LIBRARY_CHANGE_COMMANDS} == set(scripts.RECORDERS)
    assert all(spec.is_scripting for spec in all_specs() if spec.handler in recorded)
