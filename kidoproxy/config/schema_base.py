"""What all tables of the configuration file have in common."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


#: A string stands for a list of one.
StringList = Annotated[list[str], BeforeValidator(_as_list)]


class Table(BaseModel):
    """A table of the file: unknown keys and lenient types are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
