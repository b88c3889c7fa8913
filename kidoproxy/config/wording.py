"""Words that lines about mistakes share."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "hash"?`` for a word that is close to a known one, else nothing."""
    matches = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def quote_words(words: Iterable[str]) -> str:
    """``"ring", "copy"``."""
    return ", ".join(f'"{word}"' for word in words)
