"""One line per mistake: ``ring.toml: pool.cache.nodes[1]: what is wrong; did you mean "…"?``."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

Place = Sequence[str | int]

_SHOULD_BE: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a table"),
)
_BOUNDS: Final = {
    "greater_than_equal": ("must be at least", "ge"),
    "less_than_equal": ("must be at most", "le"),
}


class Problems:
    """Collects the lines for one file, in the order in which they are found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []

    def add(self, place: Place, what: str) -> None:
        """Note one mistake; an empty place means the file as a whole."""
        where = f"{dotted(place)}: " if place else ""
        line = f"{self.file}: {where}{what}"
        if line not in self.lines:
            self.lines.append(line)

    def add_schema(self, error: ValidationError, root: type[BaseModel]) -> None:
        """Note what pydantic found, in our own words and without the values (they may be secret)."""
        for found in error.errors(include_url=False):
            place = [part for part in found["loc"] if part != "[key]"]
            self.add(place, _sentence(found["type"], found.get("ctx", {}), found["input"], place, root))


def dotted(place: Place) -> str:
    """A place as a person would write it: ``pool.cache.nodes[1]``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "hash"?`` for a word that is close to a known one, else nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def quoted(words: Iterable[str]) -> str:
    """``"ring", "copy"``."""
    return ", ".join(f'"{word}"' for word in words)


def _sentence(kind: str, context: dict[str, Any], value: object, place: Place, root: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return "unknown key" + did_you_mean(str(place[-1]), _keys_beside(place, root))
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        return _wrong_choice(value, context, place, root)
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {context[bound]:g}"
    if kind == "string_too_short":
        return "is empty"
    if kind == "string_too_long":
        return f"has more than {context['max_length']} characters"
    return f"must be {_should_be(kind, place)}, not {_kind(value)}"


def _should_be(kind: str, place: Place) -> str:
    if kind == "list_type" and place[-1] in ("listen", "keys", "channels", "password_sha256"):
        return "a string or a list of strings"
    if kind == "list_type" and place[-2] == "together":
        return "a string or a list of strings"
    if isinstance(place[-1], int) and place[-2] == "nodes":
        return "a string or a table"
    return _SHOULD_BE.get(kind, "something else")


def _wrong_choice(value: object, context: dict[str, Any], place: Place, root: type[BaseModel]) -> str:
    choices = re.findall(r"'([^']*)'", context["expected"])
    if not isinstance(value, str):
        return f"must be one of {quoted(choices)}, not {_kind(value)}"
    later = _extra(place, root).get("later", [])
    if value in later:
        return f'"{value}" is not served yet; served {"are" if len(choices) > 1 else "is"} {quoted(choices)}'
    return f'"{value}" is not known; known are {quoted(choices)}' + did_you_mean(value, choices)


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "a date or time")


def _keys_beside(place: Place, root: type[BaseModel]) -> list[str]:
    return list(_table_at(place[:-1], root).model_fields)


def _extra(place: Place, root: type[BaseModel]) -> dict[str, Any]:
    extra = _table_at(place[:-1], root).model_fields[str(place[-1])].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _table_at(place: Place, root: type[BaseModel]) -> type[BaseModel]:
    """The table class that a place leads to: through fields, and through lists and dicts of tables."""
    found: Any = root
    for part in place:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[str(part)].annotation
        else:
            found = get_args(found)[-1]
    table: type[BaseModel] = found
    return table
