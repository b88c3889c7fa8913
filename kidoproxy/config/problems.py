"""One line per mistake: ``ring.toml: pool.cache.nodes[1]: what is wrong; did you mean "…"?``."""

import re
from collections.abc import Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from kidoproxy.config.other_names import OTHER_NAMES, OTHER_VALUES, WITHOUT_NAMES
from kidoproxy.config.wording import did_you_mean, quote_words

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
_TRUTHS: Final = ("true", "false")
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
        errors = error.errors(include_url=False)
        renamed = {
            (*found["loc"][:-1], OTHER_NAMES.get(str(found["loc"][-1])))
            for found in errors
            if found["type"] == "extra_forbidden"
        }
        for found in errors:
            if found["type"] == "missing" and found["loc"] in renamed:
                continue  # it is there, by another name, and that is told
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


def _message(
    error_type: str, error_context: dict[str, Any], value: object, location: Location, root: type[BaseModel]
) -> str:
    if error_type == "extra_forbidden":
        return "unknown key" + _other_name(str(location[-1]), _sibling_keys(location, root))
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
    return f"must be {_expected_type(error_type, location)}, not {_type_name(value)}{_quotes(error_type, value)}"


def _other_name(key: str, known: list[str]) -> str:
    """What an unknown key is called here."""
    if OTHER_NAMES.get(key) in known:
        return f'; it is called "{OTHER_NAMES[key]}" here'
    return f"; {WITHOUT_NAMES[key]}" if key in WITHOUT_NAMES else did_you_mean(key, known)


def _quotes(error_type: str, value: object) -> str:
    """Whether quotes are what is wrong; a value in the wrong place may be a secret, and is not repeated."""
    if error_type == "string_type" and isinstance(value, int | float):
        return "; write it in quotes"
    is_number = isinstance(value, str) and value.lstrip("-").isdigit()
    if (error_type in ("int_type", "float_type") and is_number) or (error_type == "bool_type" and value in _TRUTHS):
        return "; write it without quotes"
    return "; write it in [ and ]" if error_type == "list_type" and isinstance(value, str) else ""


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
    meant = OTHER_VALUES.get(str(location[-1]), {}).get(value.lower())
    suggestion = f'; did you mean "{meant}"?' if meant else did_you_mean(value, choices)
    return f'"{value}" is not known; known are {quote_words(choices)}{suggestion}'


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
