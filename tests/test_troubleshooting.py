"""Each word that an error can begin with has its paragraph for whoever looks for it."""

import re
from typing import Final

import pytest

from tests.test_docs import between, page, rows

pytestmark = pytest.mark.sources

PAGE: Final = "kidoproxy/TROUBLESHOOTING.md"


def paragraphs() -> dict[str, str]:
    """Word -> what the page says of it."""
    text = page(PAGE).split("\n## By word\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"(?ms)^### `(\w+)`\n\n(.*?)(?=\n### |\Z)", text))


def test_every_word_has_its_paragraph() -> None:
    """Those of the table of errors, which a test compares with the code; and no other."""
    wanted = [row[0].strip("`") for row in rows(between("errors", "kidoproxy/resp/README.md"))]
    assert sorted(paragraphs()) == sorted(wanted)


def test_a_paragraph_says_what_to_do() -> None:
    """A heading alone helps nobody: it has at least two sentences."""
    assert [word for word, text in paragraphs().items() if len(re.findall(r"[.:;](?:\s|$)", text)) < 2] == []
