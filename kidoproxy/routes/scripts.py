"""Scripts by their texts: which one a request runs, what is known of it, and may copies run it?

A copy pool asks one copy if the text proves that it only reads; it broadcasts the script if every copy comes to the
same result, as it is or behind a prologue; otherwise the leader runs it for all, if the keys are known that it writes
to: see `kidoproxy.scripts.ways`. EVALSHA is sent to copies as EVAL with the text, so that a copy which lost its script
cache cannot miss a write; of texts that are used often they are sent the digest when they have said that they keep it.
"""

from typing import Final, final

from kidoproxy.commands.expiry_effect import (
    ANY_KEYS,
    NAMED_KEYS,
    OF_SOURCES,
    SCRIPT_SETS_ANY,
    SCRIPT_SETS_DECLARED,
    ExpiryEffect,
)
from kidoproxy.commands.spec import SCRIPT_DIGEST, SCRIPT_FUNCTION, SCRIPT_TEXT, CommandSpec
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.plan import DigestForm, Interposed
from kidoproxy.routes.route import WallClock
from kidoproxy.scripts.analysis import Analysis, analyze
from kidoproxy.scripts.interposed import InterposedScript
from kidoproxy.scripts.leader_keys import leader_keys, leader_refusal, used_keys
from kidoproxy.scripts.registry import Script, ScriptRegistry
from kidoproxy.scripts.resolve import NUMKEYS_POSITION
from kidoproxy.scripts.ways import (
    WAY_BROADCAST,
    WAY_INTERPOSED,
    WAY_LEADER,
    WAY_READ,
    WAY_REFUSED,
    CopyWay,
    copy_way_of_request,
)

#: So often a text is sent before copies are asked to keep it: many scripts are sent once.
USES_BY_TEXT: Final = 3


@final
class ScriptDecision:
    """What a copy pool does with a script: ``way`` is a constant of `kidoproxy.scripts.ways`, ``reason`` says why not.

    ``payload`` is what is sent, None for the request itself; ``interposed``: see `Gather`; ``leader``: what it runs.
    ``keys``: all that it uses; None if they are not known.
    """

    def __init__(
        self, way: CopyWay, reason: str = "", payload: bytes | None = None, interposed: Interposed | None = None
    ) -> None:
        self.way = way
        self.reason = reason
        self.payload = payload
        self.interposed = interposed
        self.leader: LeaderScript | None = None
        self.keys: list[bytes] | None = None


@final
class LeaderScript:
    """What the leader is asked: a script that may write to these keys, and send messages if it ``publishes``."""

    def __init__(self, argv: list[bytes], written_keys: list[bytes], publishes: bool) -> None:
        self.argv: Final = argv
        self.written_keys: Final = written_keys
        self.publishes: Final = publishes


def find_script(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> Script | None:
    """The script that this request runs; None when it runs none, or one whose text is not known."""
    if spec.script_source == SCRIPT_TEXT:
        return registry.find_script(registry.remember(argv[1])) or Script(argv[1])
    if spec.script_source == SCRIPT_DIGEST:
        return registry.find_script(argv[1].lower())
    return None


def find_analysis(
    registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes], queued: bool = False
) -> Analysis | None:
    """The analysis of what this request runs, None if it is not known. A script only ``queued`` is not remembered."""
    if queued and spec.script_source == SCRIPT_TEXT and argv[1] not in registry.digests:
        return analyze(argv[1])
    if spec.script_source == SCRIPT_FUNCTION:
        return registry.find_function(argv[1])
    script = find_script(registry, spec, argv)
    return registry.analyse_script(script) if script is not None else None


def script_keys(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> list[bytes] | None:
    """All keys that a request for a script uses; None if they, or the script, are not known."""
    found = find_analysis(registry, spec, argv)
    return used_keys(found, argv) if found is not None else None


def script_expiry_effect(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> ExpiryEffect:
    """What a script has to do with the expiry of its keys; of one that is not known: all that it could."""
    found = find_analysis(registry, spec, argv)
    if found is None or found.parse_error or found.hidden_reason or found.unnamed_reason:
        return SCRIPT_SETS_ANY
    if found.sets_expiry == ANY_KEYS:
        return SCRIPT_SETS_ANY
    return SCRIPT_SETS_DECLARED if found.sets_expiry == NAMED_KEYS else OF_SOURCES


def decide_copy_script(
    registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes], clock: WallClock
) -> ScriptDecision | None:
    """What a copy pool does with a script; None if a digest or a function is not known."""
    if spec.script_source == SCRIPT_FUNCTION:
        function = registry.find_function(argv[1])
        if function is None:
            return None
        return with_keys(decide_copy_function(registry, function, argv, clock), function, argv)
    script = find_script(registry, spec, argv)
    if script is None:
        return None
    analysis = registry.analyse_script(script)
    return with_keys(decide_copy_text(registry, spec, argv, clock, script, analysis), analysis, argv)


def with_keys(decision: ScriptDecision, analysis: Analysis, argv: list[bytes]) -> ScriptDecision:
    """The decision, with the keys that this request uses."""
    decision.keys = used_keys(analysis, argv)
    return decision


def decide_copy_text(
    registry: ScriptRegistry,
    spec: CommandSpec,
    argv: list[bytes],
    clock: WallClock,
    script: Script,
    analysis: Analysis,
) -> ScriptDecision:
    """What a copy pool does with an EVAL or EVALSHA."""
    way = copy_way_of_request(analysis, argv)
    if way == WAY_INTERPOSED and has_valid_key_count(argv):
        return interposed_decision(registry.interpose_script(script), argv, clock.next_script_time_us())
    if way in (WAY_LEADER, WAY_REFUSED):
        return leader_decision(analysis, [b"EVAL", script.text, *argv[2:]])
    if spec.script_source == SCRIPT_DIGEST and way != WAY_READ:
        return repeatable_decision(registry.repeat_script(script), argv)
    return ScriptDecision(way)


def decide_copy_function(
    registry: ScriptRegistry, analysis: Analysis, argv: list[bytes], clock: WallClock
) -> ScriptDecision:
    """FCALL cannot be given a prologue: where a function needs one, copies run its library as a script."""
    way = copy_way_of_request(analysis, argv)
    if way in (WAY_READ, WAY_BROADCAST):
        return ScriptDecision(way)
    script = registry.interpose_function(argv[1]) if way == WAY_INTERPOSED and has_valid_key_count(argv) else None
    if script is not None:
        return interposed_decision(script, argv, clock.next_script_time_us())
    return leader_decision(analysis, argv)


def leader_decision(analysis: Analysis, argv: list[bytes]) -> ScriptDecision:
    """The leader runs it for all, if it is known which keys it may write to."""
    reason = leader_refusal(analysis)
    keys = leader_keys(analysis, argv) if not reason else None
    if keys is None:
        cause = analysis.chance_reason or analysis.unnamed_reason or analysis.nondeterministic_reason
        return ScriptDecision(WAY_REFUSED, reason or f"{cause}, and the keys that it writes to are not known")
    decision = ScriptDecision(WAY_LEADER)
    decision.leader = LeaderScript(argv, keys, analysis.may_publish or bool(analysis.dynamic_calls))
    return decision


def decide_leader_script(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> LeaderScript | None:
    """What the leader runs of a script, whatever its way, where it has to run it; None if its keys are not known."""
    if spec.script_source == SCRIPT_FUNCTION:
        function = registry.find_function(argv[1])
        return leader_decision(function, argv).leader if function is not None else None
    script = find_script(registry, spec, argv)
    if script is None:
        return None
    return leader_decision(registry.analyse_script(script), [b"EVAL", script.text, *argv[2:]]).leader


def interposed_decision(script: InterposedScript, argv: list[bytes], us: int) -> ScriptDecision:
    """The prologue takes the last argument: whether this copy publishes, and the clock."""
    arguments = [*argv[2:], b"0%d" % us]
    publisher_arguments = [*argv[2:], b"1%d" % us] if script.publishes else None
    by_digest = digest_form(script, arguments, publisher_arguments)
    payload = encode_request([b"EVAL", script.text, *arguments])
    loud = encode_request([b"EVAL", script.text, *publisher_arguments]) if publisher_arguments is not None else None
    return ScriptDecision(WAY_INTERPOSED, "", payload, Interposed(script.shown, loud, None, by_digest))


def repeatable_decision(script: InterposedScript, argv: list[bytes]) -> ScriptDecision:
    """A digest names nothing on a copy that has lost its scripts, and a write must not be missed for that."""
    interposed = Interposed(script.shown, None, None, digest_form(script, argv[2:], None))
    return ScriptDecision(WAY_BROADCAST, "", encode_request([b"EVAL", script.text, *argv[2:]]), interposed)


def digest_form(
    script: InterposedScript, arguments: list[bytes], publisher_arguments: list[bytes] | None
) -> DigestForm | None:
    """The same by the digest of its text, if that is used often enough for copies to keep it."""
    if script.uses < USES_BY_TEXT or script.may_reply_noscript:
        script.uses += 1
        return None
    words = [b"EVALSHA", script.digest]
    loud = encode_request(words + publisher_arguments) if publisher_arguments is not None else None
    return DigestForm(script.digest, script.text, encode_request(words + arguments), loud)


def has_valid_key_count(argv: list[bytes]) -> bool:
    """Whether the script runs at all; if not, one argument more must not change that."""
    count = parse_int64(argv[NUMKEYS_POSITION])
    return count is not None and 0 <= count < len(argv) - NUMKEYS_POSITION
