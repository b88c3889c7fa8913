"""Scripts by their texts: which one a request runs, what is known of it, and may copies run it?

A copy pool broadcasts a script if its text proves that every copy comes to the same result, and refuses it otherwise;
what the text proves is in `kidoproxy.scripts.analysis`. EVALSHA is sent to copies as EVAL with the text, so that a
copy which lost its script cache cannot miss a write.
"""

from typing import final

from kidoproxy.commands.expiry_effect import (
    ANY_KEYS,
    NAMED_KEYS,
    OF_SOURCES,
    SCRIPT_SETS_ANY,
    SCRIPT_SETS_DECLARED,
    ExpiryEffect,
)
from kidoproxy.commands.spec import SCRIPT_DIGEST, SCRIPT_FUNCTION, SCRIPT_TEXT, CommandSpec
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.scripts.analysis import Analysis, analyze
from kidoproxy.scripts.registry import Script, ScriptRegistry


@final
class ScriptDecision:
    """``refusal`` is the reply when the script is not served; ``payload`` what is sent, None for the request itself."""

    def __init__(self, payload: bytes | None, refusal: bytes) -> None:
        self.payload = payload
        self.refusal = refusal


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


def script_expiry_effect(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> ExpiryEffect:
    """What a script has to do with the expiry of its keys; of one that is not known: all that it could."""
    found = find_analysis(registry, spec, argv)
    if found is None or found.parse_error or found.hidden_reason or found.unnamed_reason:
        return SCRIPT_SETS_ANY
    if found.sets_expiry == ANY_KEYS:
        return SCRIPT_SETS_ANY
    return SCRIPT_SETS_DECLARED if found.sets_expiry == NAMED_KEYS else OF_SOURCES


def decide_copy_script(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> ScriptDecision | None:
    """What a copy pool does with EVAL and EVALSHA; None for all other requests, FCALL included."""
    if spec.script_source not in (SCRIPT_TEXT, SCRIPT_DIGEST):
        return None
    script = find_script(registry, spec, argv)
    if script is None:
        return ScriptDecision(None, errors.NOSCRIPT)
    reason = registry.analyse_script(script).replication_refusal()
    if reason:
        return ScriptDecision(None, errors.not_served(spec.name, f"copies could part: {reason}"))
    if spec.script_source == SCRIPT_TEXT:
        return ScriptDecision(None, b"")
    return ScriptDecision(encode_request([b"EVAL", script.text, *argv[2:]]), b"")
