"""Families of commands, as the reference of Redis groups them: what requests are counted by."""

from typing import Final, final

from mypy_extensions import i64

#: Of a command that some module of a node has; of one that nobody knows.
MODULE_GROUP: Final = "module"
UNKNOWN: Final = "unknown"

#: By number; the last one is for requests without a command.
FAMILIES: Final[tuple[str, ...]] = (
    "string",
    "hash",
    "list",
    "set",
    "sorted-set",
    "stream",
    "bitmap",
    "geo",
    "hyperloglog",
    "keyspace",
    "pubsub",
    "scripting",
    "transactions",
    "connection",
    "server",
    "cluster",
    MODULE_GROUP,
    UNKNOWN,
)
UNKNOWN_FAMILY: Final = len(FAMILIES) - 1
#: Groups of the command table that have another name here: that of the category of ACLs.
RENAMED_GROUPS: Final[dict[str, str]] = {"generic": "keyspace"}


@final
class FamilyCounter:
    """How many requests of one family there were. A field of a machine's word: adding to it costs next to nothing."""

    def __init__(self) -> None:
        self.count: i64 = 0


def family_number(group: str) -> int:
    """The number of the family that a group of the command table is."""
    name = RENAMED_GROUPS.get(group, group)
    return FAMILIES.index(name if name in FAMILIES else MODULE_GROUP)
