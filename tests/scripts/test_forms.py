"""String forms, and their bounds."""

from kidoproxy.scripts.forms import (
    ANY_TEXT_PART,
    EMPTY_FORM,
    KEYS_ITEM,
    LITERAL,
    MAX_FORM_PARTS,
    MAX_FORMS,
    UNKNOWN_FORM,
    FormPart,
    StringForm,
    dedupe_forms,
    literal_text,
    truncate_form,
)

KEY: FormPart = (KEYS_ITEM, 1, 0, b"")


def literal(text: bytes) -> FormPart:
    """A part that the text gives."""
    return (LITERAL, 0, 0, text)


def test_literal_text() -> None:
    """Only a string of literals is known from the text alone; the empty one is."""
    assert literal_text((literal(b"a"), literal(b"b"))) == b"ab"
    assert literal_text(EMPTY_FORM) == b""
    assert literal_text((literal(b"a"), KEY)) is None
    assert literal_text(UNKNOWN_FORM) is None


def test_each_form_counts_once() -> None:
    """In the order of their first appearance; too many are one that is unknown."""
    one, two = (literal(b"1"),), (KEY,)
    assert dedupe_forms([one, two, one]) == [one, two]
    many: list[StringForm] = [(literal(b"%d" % number),) for number in range(MAX_FORMS + 1)]
    assert dedupe_forms(many[:-1] * 2) == many[:-1]
    assert dedupe_forms(many) == [UNKNOWN_FORM]


def test_a_long_form_is_known_as_far_as_its_bound() -> None:
    """Its beginning may still say where the key lives."""
    form = (literal(b"a"),) * MAX_FORM_PARTS
    assert truncate_form(form) == form
    assert truncate_form((*form, KEY)) == (*form[:-1], ANY_TEXT_PART)
