"""Which keys a request for a script uses, and which it writes to, as far as they can be computed.

Where the leader runs it for all copies the others are sent what the keys hold then that it writes to.
"""

from kidoproxy.scripts.analysis import Analysis
from kidoproxy.scripts.determinism import UNKNOWN_ARGUMENT
from kidoproxy.scripts.forms import StringForm, UndeclaredKey
from kidoproxy.scripts.resolve import MAX_RESOLVED_KEYS, ScriptInputs, max_resolved, resolve_call, resolve_key
from kidoproxy.scripts.written_keys import used_forms, written_forms


def leader_refusal(analysis: Analysis) -> str:
    """Why the leader must not run it for the others, whatever the request: they would miss something."""
    reason = analysis.parse_error or analysis.hidden_reason
    if not reason and len(analysis.dynamic_calls) < analysis.nameless_calls:
        reason = analysis.unnamed_reason
    if reason or not analysis.unknown_write:
        return reason
    cause = analysis.chance_reason or analysis.unnamed_reason or analysis.nondeterministic_reason
    command = analysis.unknown_write[:40].decode("ascii", "replace")
    return f"{cause}, and {command} may write to keys that are not declared"


def leader_keys(analysis: Analysis, argv: list[bytes]) -> list[bytes] | None:
    """The keys that an EVAL or FCALL may write to, each once: all that it declares, and those that it is seen to use.

    None if they are too many to compute, or not known for these arguments.
    """
    return keys_of_forms(list(analysis.written_forms), analysis, ScriptInputs(argv), True)


def used_keys(analysis: Analysis, argv: list[bytes]) -> list[bytes] | None:
    """The keys that an EVAL or FCALL may read or write to, each once, those that it declares first; None: not known."""
    if analysis.parse_error or analysis.hidden_reason or analysis.unknown_use:
        return None
    if len(analysis.dynamic_calls) < analysis.nameless_calls:
        return None
    return keys_of_forms(list(analysis.used_forms), analysis, ScriptInputs(argv), False)


def keys_of_forms(
    forms: list[StringForm], analysis: Analysis, inputs: ScriptInputs, only_written: bool
) -> list[bytes] | None:
    """The declared keys, those that the forms come to, and those of calls whose command the request names."""
    found = dict.fromkeys(inputs.keys)
    named = forms_of_dynamic_calls(analysis, inputs, only_written)
    if named is None:
        return None
    for form in [*forms, *named]:
        keys = exact_keys(form, inputs)
        if keys is None or len(found) + len(keys) > MAX_RESOLVED_KEYS:
            return None
        found.update(dict.fromkeys(keys))
    return list(found)


def forms_of_dynamic_calls(analysis: Analysis, inputs: ScriptInputs, only_written: bool) -> list[StringForm] | None:
    """The undeclared keys of the calls whose command the request names; None if they are not known."""
    found: list[StringForm] = []
    for script_call in analysis.dynamic_calls:
        call = resolve_call(script_call, inputs)
        if call is None:
            continue
        spec = call.spec
        if spec is None:
            return None
        find_forms = written_forms if only_written else used_forms
        forms = find_forms(spec, call.argv(), call.arguments, call.open_ended, UNKNOWN_ARGUMENT)
        if forms is None:
            return None
        found += forms
    return found


def exact_keys(form: StringForm, inputs: ScriptInputs) -> list[bytes] | None:
    """The keys that an undeclared one comes to with these inputs; None if they are too many, or not known."""
    key = UndeclaredKey(b"", form, b"", False)
    if max_resolved(key, inputs) > MAX_RESOLVED_KEYS:
        return None
    resolved_keys = resolve_key(key, inputs)
    return None if any(resolved.is_prefix for resolved in resolved_keys) else [each.text for each in resolved_keys]
