"""Which way a script goes in a copy pool."""

from typing import Final

from kidoproxy.commands.spec import COPY_READ, DEDICATED, LOCAL, READONLY, SESSION, CommandSpec
from kidoproxy.scripts.analysis import Analysis

CopyWay = int
WAY_READ: Final = 0  # it only reads: one copy is asked, as for any read
WAY_BROADCAST: Final = 1  # every copy runs the text as it is, to the same result
WAY_INTERPOSED: Final = 2  # every copy runs it behind a prologue, to the same result
WAY_LEADER: Final = 3  # the result depends on chance, but all commands that it may call are known, or named by request
WAY_REFUSED: Final = 4  # it may call what is not known


def copy_way(analysis: Analysis) -> CopyWay:
    """The first of the ways that is open to the script."""
    if analysis.parse_error or analysis.hidden_reason:
        return WAY_REFUSED
    if analysis.unnamed_reason:
        return WAY_LEADER
    if all(only_reads(spec) for spec in analysis.commands.values()):
        return WAY_READ
    if not analysis.nondeterministic_reason:
        return WAY_BROADCAST
    return WAY_LEADER if analysis.chance_reason else WAY_INTERPOSED


def way_refusal(analysis: Analysis) -> str:
    """Why the script is neither a read, nor run by every copy; empty if it is."""
    return analysis.parse_error or analysis.hidden_reason or analysis.unnamed_reason or analysis.chance_reason


def only_reads(spec: CommandSpec | None) -> bool:
    """Whether the command changes nothing, neither data nor what the next command means."""
    if spec is None or spec.may_write or spec.replication != COPY_READ or spec.reach == SESSION:
        return False
    return spec.reach == LOCAL or (spec.flags & READONLY != 0 and spec.reach != DEDICATED)
