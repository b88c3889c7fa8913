"""The keys of a script that hang on the request which runs it, computed from its KEYS and ARGV as the script does."""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS, within
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.scripts.analysis import WHOLE, Analysis, Called, Name
from kidoproxy.scripts.values import ANY_KEY, ARG, ARGS, KEY, LITERAL, Part

#: Where the number of keys stands in EVAL, EVALSHA and FCALL.
COUNT_AT: Final = 2
#: More names than this are not computed for one request: they are as many as names in the text times keys.
MOST_USED: Final = 4096


@final
class Used:
    """A key that ``command`` would use: ``text`` as a whole, or (``begins``) all that is known of it.

    ``wanted``: a pattern, of which it must be known where its names live.
    """

    def __init__(self, command: bytes, text: bytes, begins: bool, wanted: bool) -> None:
        self.command = command
        self.text = text
        self.begins = begins
        self.wanted = wanted


@final
class Inputs:
    """KEYS and ARGV of a request."""

    def __init__(self, argv: list[bytes]) -> None:
        text = argv[COUNT_AT]
        count = int(text) if text.isdigit() and len(text) < 10 else 0
        self.keys = argv[COUNT_AT + 1 : COUNT_AT + 1 + count]
        self.args = argv[COUNT_AT + 1 + count :]

    def values(self, part: Part) -> list[bytes] | None:
        """What a part may be; none when it is nil, None when it may be anything."""
        kind, number, step, text = part
        if kind == LITERAL:
            return [text]
        if kind == KEY:
            return self.keys[number - 1 : number]
        if kind == ARG:
            return self.args[number - 1 : number]
        if kind == ANY_KEY:
            return self.keys
        return self.args[number - 1 :: step] if kind == ARGS else None


def used(name: Name, inputs: Inputs) -> list[Used]:
    """The keys that this one comes to; of rows of them in one name only the first is followed.

    What is left empty stands for nothing: scripts are told so that there is no such key.
    """
    texts = [b""]
    begins = False
    for part in name.form:
        values = inputs.values(part)
        if values is not None and part[0] != LITERAL:
            values = [value for value in values if value]
        if values is None or (len(values) > 1 and len(texts) > 1):
            begins = True
            break
        texts = [text + value for text in texts for value in values]
    found: list[Used] = []
    for text in texts:
        cut = until(text, name.signs) if name.signs else text
        found.append(Used(name.command, cut, begins or cut != text, name.wanted))
    return found


def until(text: bytes, signs: bytes) -> bytes:
    """Up to the first of these signs."""
    for at in range(len(text)):
        if text[at] in signs:
            return text[:at]
    return text


def resolved(call: Called, inputs: Inputs) -> Called | None:
    """A call whose command the request names; None when it names none."""
    names = used(Name(b"", call.arguments[0][0], b"", False), inputs)
    if not names:
        return None
    name = names[0].text.lower()
    found = Called(name, COMMANDS.get(name), call.arguments[1:], call.opened)
    if found.spec is not None:
        found.spec = within(found.spec, found.argv())
    return found


def commands(analysis: Analysis, inputs: Inputs) -> dict[bytes, CommandSpec | None]:
    """All commands that it calls with this request, by full name, as far as they are known."""
    if not analysis.dynamic:
        return analysis.commands
    found = dict(analysis.commands)
    for call in analysis.dynamic:
        one = resolved(call, inputs)
        if one is not None:
            found[one.spec.name if one.spec is not None else one.name] = one.spec
    return found


def whole(analysis: Analysis, inputs: Inputs, listed: bool) -> bytes:
    """The first command that speaks of all keys of a node; empty when there is none. ``listed``: even by a pattern."""
    if analysis.whole:
        return analysis.whole
    for name in analysis.names:
        if listed and name.command in WHOLE:
            return name.command
    for call in analysis.dynamic:
        one = resolved(call, inputs)
        if one is not None and one.name in WHOLE:
            return one.name
    return b""


def keyed(analysis: Analysis, inputs: Inputs) -> bytes:
    """The first command that needs a key; empty when there is none."""
    if analysis.keyed:
        return analysis.keyed
    for call in analysis.dynamic:
        one = resolved(call, inputs)
        if one is not None and one.spec is not None and any(key.is_key for key in one.spec.key_specs):
            return one.name
    return b""


def names(found: list[Name], dynamic: list[Called], inputs: Inputs) -> list[Used] | None:
    """All keys that these names and calls come to; None when they are too many to look at."""
    names = list(found)
    for call in dynamic:
        one = resolved(call, inputs)
        if one is not None and one.spec is not None:
            for at in keys(one.spec, one.argv()):
                names += [Name(one.name, form, b"", False) for form in one.arguments[at - 1]]
    computed: list[Used] = []
    for name in names:
        if len(computed) + count(name, inputs) > MOST_USED:
            return None
        computed += used(name, inputs)
    return computed


def count(name: Name, inputs: Inputs) -> int:
    """At most how many keys this name comes to."""
    most = 1
    for part in name.form:
        if part[0] == ANY_KEY:
            most = max(most, len(inputs.keys))
        elif part[0] == ARGS:
            most = max(most, len(inputs.args))
    return most
