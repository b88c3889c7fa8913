"""One line per mistake: ``ring.toml: pool.cache.nodes[1]: what is wrong; did you mean "…"?``."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

Location = Sequence[str | int]

_EXPECTED_TYPES: Final = {
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
_TYPE_NAMES: Final[tuple[tuple[type, str], ...]] = (
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

    def add(self, location: Location, message: str) -> None:
        """Note one mistake; an empty place means the file as a whole."""
        where = f"{format_location(location)}: " if location else ""
        line = f"{self.file}: {where}{message}"
        if line not in self.lines:
            self.lines.append(line)

    def add_validation_error(self, error: ValidationError, root: type[BaseModel]) -> None:
        """Note what pydantic found, in our own words and without the values (they may be secret)."""
        for found in error.errors(include_url=False):
            location = [part for part in found["loc"] if part != "[key]"]
            self.add(location, _message(found["type"], found.get("ctx", {}), found["input"], location, root))


def format_location(location: Location) -> str:
    """A place as a person would write it: ``pool.cache.nodes[1]``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "hash"?`` for a word that is close to a known one, else nothing."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def quote_words(words: Iterable[str]) -> str:
    """``"ring", "copy"``."""
    return ", ".join(f'"{word}"' for word in words)


def _message(
    error_type: str, error_context: dict[str, Any], value: object, location: Location, root: type[BaseModel]
) -> str:
    if error_type == "extra_forbidden":
        return "unknown key" + did_you_mean(str(location[-1]), _sibling_keys(location, root))
    if error_type == "missing":
        return "is missing"
    if error_type == "literal_error":
        return _wrong_choice(value, error_context, location, root)
    if error_type in _BOUNDS:
        words, bound = _BOUNDS[error_type]
        return f"{words} {error_context[bound]:g}"
    if error_type == "string_too_short":
        return "is empty"
    if error_type == "string_too_long":
        return f"has more than {error_context['max_length']} characters"
    return f"must be {_expected_type(error_type, location)}, not {_type_name(value)}"


def _expected_type(error_type: str, location: Location) -> str:
    if error_type == "list_type" and location[-1] in (
        "listen",
        "keys",
        "channels",
        "password_sha256",
        "cert_file",
        "key_file",
    ):
        return "a string or a list of strings"
    if error_type == "list_type" and location[-2] == "together":
        return "a string or a list of strings"
    if isinstance(location[-1], int) and location[-2] == "nodes":
        return "a string or a table"
    return _EXPECTED_TYPES.get(error_type, "something else")


def _wrong_choice(value: object, error_context: dict[str, Any], location: Location, root: type[BaseModel]) -> str:
    choices = re.findall(r"'([^']*)'", error_context["expected"])
    if not isinstance(value, str):
        return f"must be one of {quote_words(choices)}, not {_type_name(value)}"
    planned = _schema_extra(location, root).get("later", [])
    if value in planned:
        return f'"{value}" is not served yet; served {"are" if len(choices) > 1 else "is"} {quote_words(choices)}'
    return f'"{value}" is not known; known are {quote_words(choices)}' + did_you_mean(value, choices)


def _type_name(value: object) -> str:
    return next((name for error_type, name in _TYPE_NAMES if isinstance(value, error_type)), "a date or time")


def _sibling_keys(location: Location, root: type[BaseModel]) -> list[str]:
    return list(_table_at(location[:-1], root).model_fields)


def _schema_extra(location: Location, root: type[BaseModel]) -> dict[str, Any]:
    extra = _table_at(location[:-1], root).model_fields[str(location[-1])].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _table_at(location: Location, root: type[BaseModel]) -> type[BaseModel]:
    """The table class that a place leads to: through fields, and through lists and dicts of tables."""
    found: Any = root
    for part in location:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[str(part)].annotation
        else:
            found = get_args(found)[-1]
    table: type[BaseModel] = found
    return table
