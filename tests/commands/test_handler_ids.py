"""The numbers of handlers: each is one handler's, and each command has at most one."""

from kidoproxy.commands import handler_ids
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.handler_ids import HANDLERS, NO_HANDLER

NUMBERS = {name: value for name, value in vars(handler_ids).items() if isinstance(value, int)}


def test_no_two_handlers_share_a_number() -> None:
    """They count on from 0, which is none."""
    assert sorted(NUMBERS.values()) == list(range(len(NUMBERS)))


def test_every_handler_has_a_command() -> None:
    """A number that no command has is dead."""
    assert {handler for _, handler in HANDLERS} == set(NUMBERS.values()) - {NO_HANDLER}


def test_each_command_is_named_once() -> None:
    """The spec has what the table says."""
    rows = [(name.encode(), handler) for names, handler in HANDLERS for name in names.split()]
    assert len(dict(rows)) == len(rows)
    assert {spec.name: spec.handler for spec in all_specs() if spec.handler != NO_HANDLER} == dict(rows)


def test_a_handler_is_named_like_its_command() -> None:
    """Of commands with a handler of their own the number's name is the command's."""
    for names, handler in HANDLERS:
        if " " not in names:
            assert NUMBERS[names.replace("|", "_").replace("-", "_").upper()] == handler
