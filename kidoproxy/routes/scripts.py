"""Scripts in a copy pool: broadcast when every copy must come to the same result, refused otherwise.

A script is taken as deterministic when its text names every command that it calls with a literal, and
each of them is one that a copy pool broadcasts as it is, or a read whose answer does not depend on
chance, time or the inner order of a collection. The check errs on the side of refusal.

EVALSHA travels as EVAL with the text, so that a copy which lost its script cache cannot miss a write.
"""

import re
from typing import Final, final

from kidoproxy import errors
from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import COPY_ALL, COPY_READ, ONE, READ_OR_TTL, SPLIT, TTL_OPTIONS, CommandSpec
from kidoproxy.resp.build import command
from kidoproxy.routes.book import Book, Script

_COMMENT: Final = re.compile(rb"--\[\[.*?\]\]|--[^\n]*", re.DOTALL)
_STRING: Final = re.compile(rb"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_CALL: Final = re.compile(rb"\b(?:redis|server)\s*\.\s*p?call\s*\(\s*(['\"])([A-Za-z]+)\1\s*([,)])")
_HARMLESS: Final = re.compile(
    rb"\b(?:redis|server)\s*\.\s*(?:sha1hex|error_reply|status_reply|log|LOG_DEBUG|LOG_VERBOSE|LOG_NOTICE|LOG_WARNING)\b"
)
_API: Final = re.compile(rb"\b(?:redis|server)\b")
_WILD: Final = re.compile(
    rb"\b(?:_G|load|loadstring|dofile|getfenv|setfenv|getmetatable|setmetatable|rawget|os)\b|\[\[|\[="
)
_CHANCE: Final = ("nondeterministic_output", "nondeterministic_output_order")


@final
class Verdict:
    """``refusal`` is the reply when the script is not served; ``payload`` what is sent, None for the request itself."""

    def __init__(self, payload: bytes | None, refusal: bytes) -> None:
        self.payload = payload
        self.refusal = refusal


def unfit(text: bytes) -> str:
    """Why copies might come to different results when they all run ``text``; empty when they cannot."""
    code = _COMMENT.sub(b" ", text)
    if _WILD.search(_STRING.sub(b"''", code)) or b"[[" in code:
        return "it uses what lets a script hide the commands that it calls"
    calls = list(_CALL.finditer(code))
    rest = _HARMLESS.sub(b" ", _CALL.sub(b" ", code))
    if _API.search(_STRING.sub(b"''", rest)):
        return "it calls a command whose name is not a literal"
    for call in calls:
        name = call.group(2).lower()
        spec = COMMANDS.get(name)
        if spec is None or not steady(spec, code, call.end()):
            return f"it calls {name.decode()}, which depends on chance, time or order"
    return ""


def keyed_call(text: bytes) -> str:
    """The first command with a key that ``text`` calls by a literal name; empty when it calls none in plain sight."""
    for call in _CALL.finditer(_COMMENT.sub(b" ", text)):
        spec = COMMANDS.get(call.group(2).lower())
        if spec is not None and any(key.is_key for key in spec.key_specs):
            return spec.name.decode()
    return ""


def undeclared(book: Book, spec: CommandSpec, argv: list[bytes]) -> str:
    """What a script that was given no keys calls although it needs one: on a ring nobody knows where it should run."""
    script: Script | None = None
    if spec.name in (b"eval", b"eval_ro"):
        script = book.script(book.learn(argv[1])) or Script(argv[1])
    elif spec.name in (b"evalsha", b"evalsha_ro"):
        script = book.script(argv[1].lower())
    if script is None:
        return ""
    if script.keyed is None:
        script.keyed = keyed_call(script.text)
    return script.keyed


def steady(spec: CommandSpec, code: bytes, at: int) -> bool:
    """Whether copies that run this call, whose arguments begin at ``at``, come to the same result."""
    if spec.judged in (TTL_OPTIONS, READ_OR_TTL):
        return arguments(code, at) == 2
    if spec.reach not in (ONE, SPLIT) or spec.judged or spec.copy not in (COPY_ALL, COPY_READ):
        return False
    return not any(tip in _CHANCE for tip in spec.tips)


def arguments(code: bytes, at: int) -> int:
    """How many arguments follow the name, up to the parenthesis that closes the call; -1 when that is not plain."""
    depth = 1
    count = 1
    i = at
    while i < len(code):
        char = code[i : i + 1]
        if char in (b"'", b'"'):
            string = _STRING.match(code, i)
            if string is None:
                return -1
            i = string.end()
            continue
        if char in (b"(", b"{", b"["):
            depth += 1
        elif char in (b")", b"}", b"]"):
            depth -= 1
            if depth == 0:
                return -1 if b"unpack" in code[at:i] else count
        elif char == b"," and depth == 1:
            count += 1
        i += 1
    return -1


def judge(book: Book, spec: CommandSpec, argv: list[bytes]) -> Verdict | None:
    """What a copy pool does with EVAL and EVALSHA; None when the request is no script that we can read."""
    payload = None
    if spec.name == b"eval":
        script = book.script(book.learn(argv[1])) or Script(argv[1])
    elif spec.name == b"evalsha":
        known = book.script(argv[1].lower())
        if known is None:
            return Verdict(None, errors.NOSCRIPT)
        script = known
        payload = command([b"EVAL", script.text, *argv[2:]])
    else:
        return None
    if script.reason is None:
        script.reason = unfit(script.text)
    if script.reason:
        return Verdict(None, errors.denied(b"script", f"copies could part: {script.reason}"))
    return Verdict(payload, b"")
