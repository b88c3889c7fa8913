"""One word, one meaning, and the field's words: names that only this project knew must not come back.

A word is looked for in identifiers, in their parts (``snake_case``, ``CamelCase``), and in comments, docstrings, other
strings and pages.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.sources

ROOT: Final = Path(__file__).resolve().parent.parent

#: What must not be written any more, and what is said instead.
RETIRED: Final = {
    "boss": "callback",
    "ear": "push handler",
    "ears": "push handlers",
    "exchange": "executor",
    "hub": "loop bridge",
    "joint": "aggregate",
    "joints": "aggregates",
    "judged": "needs_acl, copy write",
    "lane": "dedicated connection",
    "lanes": "dedicated connections",
    "ledger": "reply queue",
    "leg": "reply handler",
    "legs": "reply handlers",
    "librarian": "warm-up fetcher",
    "pupil": "warm-up connection",
    "recite": "preload",
    "spoiled": "exec_dirty",
    "switchboard": "subscriptions",
    "vigil": "watched keys",
    "vocabulary": "command set",
}
#: The same, but only in the names of the program itself: in a sentence they are plain English.
RETIRED_NAMES: Final = {
    "book": "registry",
    "dear": "memoized",
    "easy": "fast_path",
    "facts": "info, context",
    "house": "proxy",
    "hush": "handover barrier",
    "keeper": "supervisor",
    "link": "connection",
    "links": "connections",
    "picky": "has_overrides",
    "probing": "retrying",
    "rejection": "refusal",
    "school": "warm-up",
    "sore": "rejected",
    "talk": "handshake",
    "taught": "preloaded",
    "told": "by meaning",
    "voice": "pubsub node",
}
#: Where a retired word is what users or other programs write.
ALLOWED: Final = tuple(
    map(re.compile, (r"max_lanes", r"\blanes are in use", r"[`\"]lanes[`\"]", r"\blanes=", r"\bLANE\b", r"GitHub"))
)
SKIPPED: Final = ("kidoproxy/commands/table.py", "tests/test_words.py", "CHANGELOG.md")
PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def parts(text: str) -> list[str]:
    """The words of a sentence or of a name, in lower case."""
    return [part.lower() for part in PART.findall(text)]


def found_in(text: str, words: dict[str, str]) -> list[str]:
    """The retired words in it."""
    for pattern in ALLOWED:
        text = pattern.sub("", text)
    return [part for part in parts(text) if part in words]


def retired(path: str, text: str) -> Iterator[str]:
    """Every retired word in a file, as ``path:line: word: what is said instead``."""
    if not path.endswith(".py"):
        for number, line in enumerate(text.splitlines(), 1):
            for word in found_in(line, RETIRED):
                yield f"{path}:{number}: {word}: {RETIRED[word]}"
        return
    of_names = RETIRED | RETIRED_NAMES if path.startswith("kidoproxy/") else RETIRED
    if of_names.keys().isdisjoint(parts(text)):  # as in most files: to read the tokens of all takes seconds
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        words = of_names if token.type == tokenize.NAME else RETIRED
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING):
            for word in found_in(token.string, words):
                yield f"{path}:{token.start[0]}: {word}: {words[word]}"


FILES: Final = sorted(
    path.relative_to(ROOT).as_posix()
    for top in ("kidoproxy", "tests", "deploy")
    for path in (ROOT / top).rglob("*")
    if path.suffix in (".py", ".md", ".toml", ".yaml", ".service")
) + sorted(path.name for path in ROOT.glob("*.md"))


def test_no_retired_word_comes_back() -> None:
    """Whoever knows Redis, or asyncio, finds what they look for."""
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in FILES if path not in SKIPPED}
    assert [found for path, text in texts.items() for found in retired(path, text)] == []


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("kidoproxy/a.py", "link = 1", 1),
        ("kidoproxy/a.py", "node_link = NodeLink()", 2),
        ("kidoproxy/a.py", "blink = linked", 0),
        ("a.py", "# a link in a sentence is a link", 0),
        ("a.py", "'''The ledger.'''", 1),
        ("a.py", "'max_lanes'", 0),
        ("tests/a.py", "link = 1", 0),
        ("a.md", "Its lane.", 1),
        ("a.md", "a clear elegance", 0),
    ],
)
def test_words_are_found(path: str, text: str, count: int) -> None:
    """As parts of names, in comments, strings and pages; not inside other words."""
    assert len(list(retired(path, text))) == count
