"""Scripts on a ring: a node has only its own keys, so a script must stay with them.

A script runs where its declared keys live, if all that it is seen to use lives there too. One that declares none runs
where its arguments say, or on any node if it is seen to need no key. What is seen: `kidoproxy.scripts.analysis`.
"""

from typing import Final

from kidoproxy.commands.spec import SCRIPT_DIGEST, CommandSpec
from kidoproxy.resp import errors, script_errors
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.scripts import find_analysis
from kidoproxy.scripts.analysis import KEYSPACE_COMMANDS, Analysis
from kidoproxy.scripts.forms import KEYS_ANY, KEYS_ITEM, LITERAL, UndeclaredKey
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.scripts.resolve import ScriptInputs, find_key_command, find_keyspace_command, resolve_all_keys

TOO_MANY_KEYS: Final = "it uses more names of keys than are followed"


def owner_of_prefix(placement: Placement, tags: Tags, prefix: bytes) -> int | None:
    """The child that owns all keys that begin so; None when that depends on how they go on."""
    hashed_part = tags.hashed_part_of_prefix(prefix)
    return None if hashed_part is None else placement.owner(hashed_part)


def keys_elsewhere_refusal(
    placement: Placement, tags: Tags, registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes], child: int
) -> bytes | None:
    """Why a script cannot run on ``child``: it is seen to use what lives elsewhere, or to hide what it uses."""
    analysis = find_analysis(registry, spec, argv)
    if analysis is None:
        return None
    reason = analysis.parse_error or analysis.hidden_reason
    if reason:
        return script_errors.not_analysable(spec.name, reason)
    if not (analysis.keyspace_command or analysis.undeclared_keys or analysis.dynamic_calls):
        return None
    inputs = ScriptInputs(argv)
    called = find_keyspace_command(analysis, inputs, False)
    if called:
        return script_errors.calls_whole_node(spec.name, called)
    resolved_keys = resolve_all_keys(
        keys_to_resolve(placement, tags, analysis, inputs, child), analysis.dynamic_calls, inputs
    )
    if resolved_keys is None:
        return script_errors.not_analysable(spec.name, TOO_MANY_KEYS)
    for key in resolved_keys:
        owner = (
            owner_of_prefix(placement, tags, key.text) if key.is_prefix else placement.owner(tags.hashed_part(key.text))
        )
        if owner == child or (owner is None and not key.text and not key.must_locate):
            continue
        if key.command in KEYSPACE_COMMANDS:
            return script_errors.calls_whole_node(spec.name, key.command)
        return script_errors.key_elsewhere(spec.name, key.command, key.text + (b"..." if key.is_prefix else b""))
    return None


def keys_to_resolve(
    placement: Placement, tags: Tags, analysis: Analysis, inputs: ScriptInputs, child: int
) -> list[UndeclaredKey]:
    """The keys of a script that have to be computed: not those whose beginning says that they live on ``child``.

    The declared keys live there. Where a tag or a prefix decides, so does all that begins as they do.
    """
    found: list[UndeclaredKey] = []
    # Computed when it is first needed, for there may be many declared keys: 1 or 0.
    declared_keys_pinned = -1
    for key in analysis.undeclared_keys:
        kind, _, _, text = key.form[0]
        if kind == LITERAL and not key.pattern_chars and owner_of_prefix(placement, tags, text) == child:
            continue
        if kind in (KEYS_ITEM, KEYS_ANY) and not key.pattern_chars:
            if declared_keys_pinned < 0:
                declared_keys_pinned = int(all(tags.hashed_part_of_prefix(each) is not None for each in inputs.keys))
            if declared_keys_pinned:
                continue
        found.append(key)
    return found


def family_arguments(tags: Tags, argv: list[bytes]) -> list[int]:
    """The positions of the arguments of a script without keys that belong to a family of ``together``."""
    if not tags.has_prefixes:
        return []
    return [at for at in range(3, len(argv)) if tags.hash_key(argv[at]) is not None]


def declares_no_keys(argv: list[bytes]) -> bool:
    """Whether the request declares that it has no keys; for a count that is no number the node has the right error."""
    digits = argv[2].lstrip(b"+-") if len(argv) > 2 else b""
    return digits != b"" and not digits.strip(b"0")


def undeclared_keys_refusal(registry: ScriptRegistry, spec: CommandSpec, argv: list[bytes]) -> bytes | None:
    """Why a script that declares no keys is not run: it is seen to need some, or all nodes. None when it is run.

    A script whose text is not known is answered with NOSCRIPT, so that the client sends the text.
    """
    analysis = find_analysis(registry, spec, argv)
    if analysis is None:
        return errors.NOSCRIPT if spec.script_source == SCRIPT_DIGEST else None
    reason = analysis.parse_error or analysis.hidden_reason
    if reason:
        return script_errors.not_analysable(spec.name, reason)
    inputs = ScriptInputs(argv)
    offender = find_keyspace_command(analysis, inputs, True)
    if offender:
        return script_errors.calls_whole_node(spec.name, offender)
    offender = find_key_command(analysis, inputs)
    if offender:
        return script_errors.names_no_keys(spec.name, errors.decode_wire(offender))
    return (
        script_errors.not_analysable(spec.name, analysis.unnamed_reason)
        if len(analysis.dynamic_calls) < analysis.nameless_calls
        else None
    )
