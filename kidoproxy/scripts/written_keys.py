"""Which keys a call in a script uses, and which it may write to, as far as its text says it.

Where one copy runs a script for all, the others are sent the values of the keys that it writes to, so none may be
missing; what it reads decides what it writes. What is not known for certain counts as unknown.
"""

from kidoproxy.commands.keys import key_positions, stream_option
from kidoproxy.commands.request_traits import may_change_other_database, sort_pattern_positions
from kidoproxy.commands.spec import (
    BY_SPECS,
    CHANNEL_NODE,
    LOCAL,
    MOVABLE_KEYS,
    SINGLE_NODE,
    SORT_KEYS,
    SPLIT_BY_NODE,
    STREAM_KEYS,
    CommandSpec,
)
from kidoproxy.scripts.forms import ANY_TEXT, KEYS_ANY, KEYS_ITEM, StringForm, reads_no_key


def written_forms(
    spec: CommandSpec, argv: list[bytes], arguments: list[list[StringForm]], open_ended: bool, unknown: bytes
) -> list[StringForm] | None:
    """The forms of the undeclared keys that a call may write to; None if they are not all known.

    ``argv`` is the call with ``unknown`` for what its text does not say, ``arguments`` are the forms of all but the
    command's name. ``open_ended``: more may follow.
    """
    if not spec.may_write:
        return [] if spec.retryable or spec.reach == LOCAL else None
    return named_forms(spec, argv, arguments, open_ended, unknown)


def used_forms(
    spec: CommandSpec, argv: list[bytes], arguments: list[list[StringForm]], open_ended: bool, unknown: bytes
) -> list[StringForm] | None:
    """The same of all undeclared keys that a call reads or writes to."""
    if spec.reach == LOCAL:
        return []
    if spec.key_finder == SORT_KEYS:
        patterns = [form for at in sort_pattern_positions(argv) for form in arguments[at - 1]]
        if not all(reads_no_key(form) for form in patterns):
            return None
    return named_forms(spec, argv, arguments, open_ended, unknown)


def named_forms(
    spec: CommandSpec, argv: list[bytes], arguments: list[list[StringForm]], open_ended: bool, unknown: bytes
) -> list[StringForm] | None:
    """The forms of the undeclared keys that a call names; None if they are not all known."""
    if spec.reach == CHANNEL_NODE:
        return []
    reads_streams = spec.key_finder == STREAM_KEYS
    if (spec.reach not in (SINGLE_NODE, SPLIT_BY_NODE) and not reads_streams) or spec.covers_keyspace:
        return None
    if may_change_other_database(spec, argv, unknown):
        return None
    positions = key_positions(spec, argv)
    # What is not known may be a count, or an option that is followed by a key.
    is_unclear = open_ended or any(word == unknown for at, word in enumerate(argv) if at not in positions)
    if reads_streams and not open_ended:
        # A count, a group or an id may be anything.
        is_unclear = stream_option(argv, unknown) > 0
    if is_unclear and (spec.flags & MOVABLE_KEYS or spec.key_finder != BY_SPECS):
        return None
    may_have_more = open_ended and (spec.last_key < 0 or len(argv) <= spec.last_key)
    if not positions or (may_have_more and not all(is_declared(form) for form in arguments[-1])):
        return None
    found: list[StringForm] = []
    for at in positions:
        for form in arguments[at - 1]:
            if any(part[0] == ANY_TEXT for part in form):
                return None
            if not is_declared(form):
                found.append(form)
    return found


def is_declared(form: StringForm) -> bool:
    """Whether it is one of KEYS, as it is."""
    return len(form) == 1 and form[0][0] in (KEYS_ITEM, KEYS_ANY)
