"""The keys and commands of a script that depend on the request: computed from KEYS and ARGV as the script does it."""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS, resolve_subcommand
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.scripts.analysis import KEYSPACE_COMMANDS, Analysis
from kidoproxy.scripts.determinism import ScriptCall
from kidoproxy.scripts.forms import ARGV_ITEM, ARGV_RANGE, KEYS_ANY, KEYS_ITEM, LITERAL, FormPart, UndeclaredKey

#: Where the number of keys stands in EVAL, EVALSHA and FCALL.
NUMKEYS_POSITION: Final = 2
#: More keys than this are not computed for one request: they are as many as names in the text times KEYS.
MAX_RESOLVED_KEYS: Final = 4096


@final
class ResolvedKey:
    """A key that ``command`` would use: ``text``, or if ``is_prefix`` a key that begins so.

    ``must_locate``: a pattern, of which it must be known where all keys that match it live.
    """

    def __init__(self, command: bytes, text: bytes, is_prefix: bool, must_locate: bool) -> None:
        self.command = command
        self.text = text
        self.is_prefix = is_prefix
        self.must_locate = must_locate


@final
class ScriptInputs:
    """KEYS and ARGV of a request."""

    def __init__(self, argv: list[bytes]) -> None:
        text = argv[NUMKEYS_POSITION]
        count = int(text) if text.isdigit() and len(text) < 10 else 0
        self.keys = argv[NUMKEYS_POSITION + 1 : NUMKEYS_POSITION + 1 + count]
        self.args = argv[NUMKEYS_POSITION + 1 + count :]

    def part_values(self, part: FormPart) -> list[bytes] | None:
        """The texts that a part may be; an empty list when it is nil, None when it may be anything."""
        kind, number, step, text = part
        if kind == LITERAL:
            return [text]
        if kind == KEYS_ITEM:
            return self.keys[number - 1 : number]
        if kind == ARGV_ITEM:
            return self.args[number - 1 : number]
        if kind == KEYS_ANY:
            return self.keys
        return self.args[number - 1 :: step] if kind == ARGV_RANGE else None


def resolve_key(name: UndeclaredKey, inputs: ScriptInputs) -> list[ResolvedKey]:
    """The keys that this one comes to; if two of its parts have several values, the second ends the known prefix.

    An empty argument gives no key: callers say so that there is none.
    """
    texts = [b""]
    is_prefix = False
    for part in name.form:
        values = inputs.part_values(part)
        if values is not None and part[0] != LITERAL:
            values = [value for value in values if value]
        if values is None or (len(values) > 1 and len(texts) > 1):
            is_prefix = True
            break
        texts = [text + value for text in texts for value in values]
    found: list[ResolvedKey] = []
    for text in texts:
        prefix = text_before(text, name.pattern_chars) if name.pattern_chars else text
        found.append(ResolvedKey(name.command, prefix, is_prefix or prefix != text, name.must_locate))
    return found


def text_before(text: bytes, pattern_chars: bytes) -> bytes:
    """The text up to the first of these characters."""
    for at in range(len(text)):
        if text[at] in pattern_chars:
            return text[:at]
    return text


def resolve_call(script_call: ScriptCall, inputs: ScriptInputs) -> ScriptCall | None:
    """A dynamic call with the command that this request names; None when it names none."""
    names = resolve_key(UndeclaredKey(b"", script_call.arguments[0][0], b"", False), inputs)
    if not names:
        return None
    name = names[0].text.lower()
    found = ScriptCall(name, COMMANDS.get(name), script_call.arguments[1:], script_call.open_ended)
    if found.spec is not None:
        found.spec = resolve_subcommand(found.spec, found.argv())
    return found


def called_commands(analysis: Analysis, inputs: ScriptInputs) -> dict[bytes, CommandSpec | None]:
    """All commands that the script calls with this request, by full name, as far as they are known."""
    if not analysis.dynamic_calls:
        return analysis.commands
    found = dict(analysis.commands)
    for script_call in analysis.dynamic_calls:
        resolved_call = resolve_call(script_call, inputs)
        if resolved_call is not None:
            found[resolved_call.spec.name if resolved_call.spec is not None else resolved_call.name] = (
                resolved_call.spec
            )
    return found


def find_keyspace_command(analysis: Analysis, inputs: ScriptInputs, include_patterns: bool) -> bytes:
    """The first command about all keys of a node, empty if none; ``include_patterns``: also one with a pattern."""
    if analysis.keyspace_command:
        return analysis.keyspace_command
    for name in analysis.undeclared_keys:
        if include_patterns and name.command in KEYSPACE_COMMANDS:
            return name.command
    for script_call in analysis.dynamic_calls:
        resolved_call = resolve_call(script_call, inputs)
        if resolved_call is not None and resolved_call.name in KEYSPACE_COMMANDS:
            return resolved_call.name
    return b""


def find_key_command(analysis: Analysis, inputs: ScriptInputs) -> bytes:
    """The first command that needs a key; empty when there is none."""
    if analysis.key_command:
        return analysis.key_command
    for script_call in analysis.dynamic_calls:
        resolved_call = resolve_call(script_call, inputs)
        if (
            resolved_call is not None
            and resolved_call.spec is not None
            and any(key.is_key for key in resolved_call.spec.key_specs)
        ):
            return resolved_call.name
    return b""


def resolve_all_keys(
    found: list[UndeclaredKey], dynamic_calls: list[ScriptCall], inputs: ScriptInputs
) -> list[ResolvedKey] | None:
    """All keys that these keys and calls come to; None when they are too many to compute."""
    names = list(found)
    for script_call in dynamic_calls:
        resolved_call = resolve_call(script_call, inputs)
        if resolved_call is not None and resolved_call.spec is not None:
            for at in key_positions(resolved_call.spec, resolved_call.argv()):
                names += [
                    UndeclaredKey(resolved_call.name, form, b"", False) for form in resolved_call.arguments[at - 1]
                ]
    resolved_keys: list[ResolvedKey] = []
    for name in names:
        if len(resolved_keys) + max_resolved(name, inputs) > MAX_RESOLVED_KEYS:
            return None
        resolved_keys += resolve_key(name, inputs)
    return resolved_keys


def max_resolved(name: UndeclaredKey, inputs: ScriptInputs) -> int:
    """An upper bound of the keys that this one comes to."""
    max_count = 1
    for part in name.form:
        if part[0] == KEYS_ANY:
            max_count = max(max_count, len(inputs.keys))
        elif part[0] == ARGV_RANGE:
            max_count = max(max_count, len(inputs.args))
    return max_count
