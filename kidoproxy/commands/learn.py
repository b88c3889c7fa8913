"""A command that the table does not know, as a node's own ``COMMAND INFO`` describes it: a module's, mostly.

Only what is sure is served: keys at fixed places. Where keys cannot be found from the answer, or none are
named, the command could land on the wrong node, so it is refused with the way out (`PROXY NODE`).
"""

from kidoproxy.commands.spec import (
    COPY_READ,
    COPY_REFUSED,
    INDEX,
    MOVABLE,
    ONE,
    RANGE,
    READ,
    REFUSED,
    RELAY,
    CommandSpec,
    KeyRow,
)
from kidoproxy.resp.open import bulk, integer, is_error, is_null, items

NO_KEYS = "where its keys are is not known; ask one node: PROXY NODE <name> <command…>"
NOT_JUDGED = "whether copies would come to the same result is not known"


def words(raw: bytes) -> str:
    """An array of words as one string."""
    return " ".join(bulk(item).decode("utf-8", "replace").lstrip("@") for item in items(raw))


def learn(raw: bytes) -> CommandSpec | None:
    """The spec in a reply to ``COMMAND INFO name``; None when the node does not know the command either."""
    if is_error(raw) or is_null(raw):
        return None
    entries = items(raw)
    if not entries or is_null(entries[0]):
        return None
    fields = items(entries[0])
    name = bulk(fields[0]).decode("utf-8", "replace").lower()
    first, last, step = (integer(fields[at]) for at in (3, 4, 5))
    span = last - first if last >= 0 else last
    keys: tuple[KeyRow, ...] = (("", INDEX, "", first, RANGE, span, step, 0, ""),) if first > 0 else ()
    categories = words(fields[6]) if len(fields) > 6 else ""
    spec = CommandSpec(
        (name, integer(fields[1]), words(fields[2]), first, last, step, categories, "", keys, "module", "", "")
    )
    spec.reason = ""
    spec.rule = RELAY
    spec.copy_reason = NOT_JUDGED
    spec.copy = COPY_READ if spec.flags & READ else COPY_REFUSED
    spec.repeatable = spec.flags & READ != 0
    sure = first > 0 and not spec.flags & MOVABLE and not (len(fields) > 9 and items(fields[9]))
    spec.reach = ONE if sure else REFUSED
    if not sure:
        spec.reason = NO_KEYS
    spec.settle()
    return spec
