"""A file that is not TOML: what it is instead, and what to do about it, in one sentence."""

import json
import re
from typing import Final

_NEW_FILE: Final = "kidoproxy config > FILE writes one to begin with"
_IMPORT: Final = "kidoproxy import FILE makes a configuration of it"
_FIRST_LINE: Final = re.compile(r"(?m)^(?![^\S\n]*(?:#|;|//|$|---)).*$")
_KEY_AND_COLON: Final = re.compile(r"\s*-?\s*[\w.\"'-]+\s*:(?:\s|$)")
_SERVERS: Final = re.compile(r"(?m)^[^\S\n]+servers:[^\S\n]*(?:#.*)?$")
_REDIS_CONF: Final = re.compile(
    r"(?:bind|port|daemonize|save|appendonly|maxmemory|requirepass|include|protected-mode)\s+\S"
)
_TOML_ERROR: Final = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_QUOTED: Final = re.compile(r"'([^']*)'")
_DECLARED_TWICE: Final = re.compile(r"cannot declare \(([^)]*)\) twice", re.IGNORECASE)


def wrong_encoding(data: bytes) -> str:
    """Why these bytes are no text of ours; empty if they may be."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16; save it as UTF-8"
    if data.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark; save it as UTF-8 without BOM"
    if b"\x00" in data:
        return f"is no text; {_NEW_FILE}"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"line {line}: is not TOML: byte {error.start} is not UTF-8; save it as UTF-8"
    return "" if data.strip() else f"is empty; {_NEW_FILE}"


def other_format(text: str) -> str:
    """What a text that is not TOML is; empty if it looks like TOML with a mistake in it."""
    found = _FIRST_LINE.search(text)
    first = found.group() if found else ""
    if first.lstrip().startswith("{") or _is_json(text):
        return f"is JSON, not TOML; {_NEW_FILE}"
    if _SERVERS.search(text) and _KEY_AND_COLON.match(first):
        return f"is a nutcracker.yml, not TOML; {_IMPORT}"
    if _KEY_AND_COLON.match(first):
        return f"is YAML, not TOML; {_NEW_FILE}"
    if _REDIS_CONF.match(first):
        return f"is the configuration of a Redis server, not TOML; {_NEW_FILE}"
    if re.search(r"(?m)^(?:CACHES\s*=|import |from \w)", text):
        return f"is Python, not TOML; {_IMPORT}"
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def toml_error(message: str, text: str) -> str:
    """tomllib's sentence with its place in front, and what to write instead behind it."""
    # Where tomllib stopped is a part of its sentence, and the only part of it that may be missing.
    found = _TOML_ERROR.match(message)
    what, line, column = found.groups() if found else (message, None, None)
    place = f"line {line}, column {column}" if line else "at its end"
    lines = text.splitlines()
    there = lines[int(line) - 1] if line and int(line) <= len(lines) else ""
    twice = _DECLARED_TWICE.search(what)
    if twice:
        table = ".".join(_QUOTED.findall(twice[1]))
        return f"{place}: is not TOML: the table [{table}] is there twice"
    return f"{place}: is not TOML: {what[:1].lower()}{what[1:]}{_cure(what.lower(), there)}"


def _cure(what: str, line: str) -> str:
    if "expected '='" in what:
        return '; write key = "value", not key: value' if ":" in line else '; write key = "value"'
    if "invalid value" in what or "expected newline" in what:
        return '; a text stands in "quotes", one setting on a line, true and false in small letters'
    if "illegal character '\\n'" in what or "unterminated" in what:
        return '; a text ends with "'
    return "; a list ends with ]" if "array" in what else ""
