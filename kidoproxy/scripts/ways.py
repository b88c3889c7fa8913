"""Which way a script goes in a copy pool."""

from typing import Final

from kidoproxy.commands.spec import COPY_READ, DEDICATED, LOCAL, READONLY, SESSION, STREAM_KEYS, CommandSpec
from kidoproxy.scripts.analysis import Analysis
from kidoproxy.scripts.determinism import ScriptCall, is_deterministic
from kidoproxy.scripts.resolve import ScriptInputs, resolve_call

CopyWay = int
WAY_READ: Final = 0  # it only reads: one copy is asked, as for any read
WAY_BROADCAST: Final = 1  # every copy runs the text as it is, to the same result
WAY_INTERPOSED: Final = 2  # every copy runs it behind a prologue, to the same result
WAY_LEADER: Final = 3  # the result depends on chance, but all commands that it may call are known, or named by request
WAY_REFUSED: Final = 4  # it may call what is not known


def copy_way(analysis: Analysis) -> CopyWay:
    """The first of the ways that is open to the script, whatever the request."""
    if analysis.parse_error or analysis.hidden_reason:
        return WAY_REFUSED
    if analysis.unnamed_reason:
        return WAY_LEADER
    if all(only_reads(spec) for spec in analysis.commands.values()):
        return WAY_READ
    return writing_way(analysis)


def copy_way_of_request(analysis: Analysis, argv: list[bytes]) -> CopyWay:
    """The same for one EVAL or FCALL, whose arguments may name commands that the text does not name."""
    way = copy_way(analysis)
    if way != WAY_LEADER or not analysis.unnamed_reason or len(analysis.dynamic_calls) < analysis.nameless_calls:
        return way
    inputs = ScriptInputs(argv)
    way = writing_way(analysis)
    for script_call in analysis.dynamic_calls:
        named = resolve_call(script_call, inputs)
        if named is not None and way != WAY_LEADER:
            way = way_with(analysis, named, way)
    return way


def writing_way(analysis: Analysis) -> CopyWay:
    """The way of a script that writes, as far as the text names its commands."""
    if not analysis.nondeterministic_reason:
        return WAY_BROADCAST
    return WAY_LEADER if analysis.chance_reason else WAY_INTERPOSED


def way_with(analysis: Analysis, script_call: ScriptCall, way: CopyWay) -> CopyWay:
    """The way of a script that goes this way and makes one call more, which the prologue of its text may cure."""
    spec = script_call.spec
    if spec is not None and is_deterministic(spec, script_call.argv(), script_call.open_ended):
        return way
    is_cured = spec is not None and spec.prologue_piece in analysis.pieces
    return WAY_INTERPOSED if is_cured and not analysis.chance_reason else WAY_LEADER


def only_reads(spec: CommandSpec | None) -> bool:
    """Whether the command changes nothing, neither data nor what the next command means."""
    if spec is None or spec.may_write or spec.replication != COPY_READ or spec.reach == SESSION:
        return False
    # XREAD is dedicated for its BLOCK alone, and does not wait in a script.
    may_wait = spec.reach == DEDICATED and spec.key_finder != STREAM_KEYS
    return spec.reach == LOCAL or (spec.flags & READONLY != 0 and not may_wait)
