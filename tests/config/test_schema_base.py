"""`kidoproxy.config.schema_base`: what all tables have in common."""

import pytest
from pydantic import ValidationError

from kidoproxy.config.schema_base import StringList, Table


class Example(Table):
    words: StringList = []
    number: int = 0


def test_a_string_is_a_list_of_one() -> None:
    """Most have one, and need not write brackets."""
    assert Example.model_validate({"words": "a"}).words == ["a"]
    assert Example.model_validate({"words": ["a", "b"]}).words == ["a", "b"]


@pytest.mark.parametrize("table", [{"unknown": 1}, {"number": "1"}, {"number": True}, {"words": 1}, {"words": [1]}])
def test_nothing_is_guessed(table: dict[str, object]) -> None:
    """An unknown key or another type is a mistake."""
    with pytest.raises(ValidationError):
        Example.model_validate(table)
