"""Words that lines about mistakes share."""

import pytest

from kidoproxy.config.wording import did_you_mean, quote_words


@pytest.mark.parametrize(
    ("word", "said"), [("rnig", '; did you mean "ring"?'), ("RING", '; did you mean "ring"?'), ("zzz", ""), ("", "")]
)
def test_what_was_probably_meant(word: str, said: str) -> None:
    """The nearest of the known words, if one is near."""
    assert did_you_mean(word, ["ring", "copy"]) == said


def test_a_list_of_words() -> None:
    """Each in quotes, so that one sees where it ends."""
    assert quote_words(["ring", "copy"]) == '"ring", "copy"'
    assert quote_words([]) == ""
