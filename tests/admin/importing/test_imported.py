"""How what was imported is written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.admin.importing.imported import Imported, ImportedNode, ImportedPool, pool_name, quoted, variable


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_quoted(text: str) -> None:
    """TOML reads back what was written."""
    assert tomllib.loads(f"a = {quoted(text)}")["a"] == text


@pytest.mark.parametrize(
    ("text", "taken", "name"),
    [("a b.c", [], "a-b-c"), ("", [], "pool"), ("a", ["a"], "a-2"), ("a", ["a", "a-2"], "a-3")],
)
def test_names(text: str, taken: list[str], name: str) -> None:
    """Letters, digits, - and _, each once."""
    assert pool_name(text, taken) == name


def test_the_file() -> None:
    """Comments, settings, and nodes as short as they can be."""
    assert variable("my-pool", "password") == "MY_POOL_PASSWORD"
    nodes = [ImportedNode("redis://a"), ImportedNode("redis://b", "n", 2, "u", "${P}")]
    pool = ImportedPool("c", "ring", "127.0.0.1:1", nodes, {"tags": "", "protected": False}, 9, ["what it is"])
    assert Imported([pool]).to_toml("x") == (
        '# From x, by kidoproxy import.\n\n# what it is\n[pool.c]\nlisten = "127.0.0.1:1"\nmode = "ring"\ntags = ""\n'
        'protected = false\nnodes = [\n  "redis://a",\n'
        '  { url = "redis://b", name = "n", username = "u", password = "${P}", weight = 2 },\n]\n'
        "limits = { max_clients = 9 }\n"
    )
