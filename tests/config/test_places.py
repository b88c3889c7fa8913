"""Tables and keys at the wrong place; whole files are in test_wrong_files.py."""

from typing import Any

import pytest

from kidoproxy.config.places import check_places
from kidoproxy.config.problems import Problems

POOL = {"listen": "127.0.0.1:1", "mode": "ring", "nodes": ["redis://a"]}


@pytest.mark.parametrize(
    "tree", [{}, {"pool": {"cache": POOL}}, {"pool": {"cache": POOL}, "proxy": {"workers": 2}}, {"pool": 3}]
)
def test_nothing_to_say(tree: dict[str, Any]) -> None:
    """All is where it belongs, or wrong in another way."""
    problems = Problems("f")
    assert not check_places(tree, problems)
    assert problems.lines == []


@pytest.mark.parametrize("name", ["listen", "mode", "limits", "redis"])
def test_a_pool_may_have_any_name(name: str) -> None:
    """A table with nodes is a pool, whatever it is called; the line says how it is written."""
    problems = Problems("f")
    assert check_places({name: POOL}, problems)
    assert problems.lines == [f"f: {name}: is a pool at the wrong place; write [pool.{name}]"]


def test_each_place_has_its_line() -> None:
    """Several mistakes are told at once."""
    problems = Problems("f")
    assert check_places({"timeout_ms": 1, "workers": 2, "proxy": {"pool": {}}, "pool": [POOL]}, problems)
    assert len(problems.lines) == 4
