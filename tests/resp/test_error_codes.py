"""The code words by which errors are counted: closed sets that hold all that the proxy can say."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

import kidoproxy
from kidoproxy.replication.write import BEHIND_CODE
from kidoproxy.resp import errors
from kidoproxy.resp.error_codes import NODE_CODES, OTHER, PROXY_CODES, node_code, proxy_code
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import PARTIAL, as_loading

SOURCES: Final = sorted(Path(kidoproxy.__file__).parent.rglob("*.py"))
#: Of `NodeFailure`: they stand before the name of the node.
FAILURES: Final = {errors.NODEDOWN, errors.TIMEOUT, errors.OVERLOADED, errors.BADREPLY, BEHIND_CODE, PARTIAL}


def said(source: str) -> set[str]:
    """The code words of the errors of one source file: frames, sentences of ``error_reply``, and their heads."""
    found: set[str] = set()
    for item in ast.walk(ast.parse(source)):
        if isinstance(item, ast.Constant) and isinstance(item.value, bytes) and item.value.endswith(b"\r\n"):
            found.update(re.findall(r"^-([A-Z]+) ", item.value.decode("latin-1")))
        elif isinstance(item, ast.Call) and "error_reply" in ast.unparse(item.func) and item.args:
            found.update(re.findall(r"^f?['\"]([A-Z]+) ", ast.unparse(item.args[0])))
        elif isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "head":
            found.update(re.findall(r"^f?['\"]([A-Z]+) ", ast.unparse(item.value)))
    return found


@pytest.mark.sources
def test_every_word_of_the_proxy_has_a_series() -> None:
    """The set is what the sources can say, and nothing else: a new word is a new series, on purpose."""
    words = {word for path in SOURCES if path.name != "table.py" for word in said(path.read_text(encoding="utf-8"))}
    assert {"ERR", "NOREPLICAS", "PARTIAL", "NOAUTH", "EXECABORT"} <= words
    assert words | FAILURES == set(PROXY_CODES) - {OTHER}


def test_no_word_is_there_twice() -> None:
    """Both sets are sets, and small."""
    assert len(set(PROXY_CODES)) == len(PROXY_CODES) < 24
    assert len(set(NODE_CODES)) == len(NODE_CODES) < 32


@pytest.mark.parametrize("code", [code for code in PROXY_CODES if code != OTHER])
def test_words_of_the_proxy(code: str) -> None:
    """An error counts by its first word, and by the word behind it where clients are to take it for LOADING."""
    frame = NodeFailure(code, "a", "a:1", "gone " * 80, True).error_reply(True)
    assert proxy_code(frame) == code
    assert proxy_code(as_loading(frame)) == code


@pytest.mark.parametrize(
    ("frame", "of_proxy", "of_node"),
    [
        (errors.STARTING_UP, "LOADING", "LOADING"),
        (errors.NO_LIVE_NODE, "NODEDOWN", OTHER),
        (b"-WRONGTYPE Operation against a key\r\n", OTHER, "WRONGTYPE"),
        (b"-OOM\r\n", OTHER, "OOM"),
        (b"-\r\n", OTHER, OTHER),
        (b"-MODULESAYS no\r\n", OTHER, OTHER),
        (b"-" + b"X" * 10_000 + b"\r\n", OTHER, OTHER),
        (b"-\xff\xfe no\r\n", OTHER, OTHER),
    ],
)
def test_other_words(frame: bytes, of_proxy: str, of_node: str) -> None:
    """What a node or its modules may say of their own accord is one series, whatever it is."""
    assert (proxy_code(frame), node_code(frame)) == (of_proxy, of_node)
