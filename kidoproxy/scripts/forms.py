"""String forms: what a string in a script is made of, as far as its text says it.

A form is a row of parts: literals of the text, elements of KEYS and ARGV, which the request gives, and ANY_TEXT, of
which nothing is known. Forms are bounded: beyond, an expression is the unknown form, or its rest is ANY_TEXT.
"""

from typing import Final, final

# Kinds of parts; a part is its kind, two numbers and a text.
LITERAL: Final = 0  # text
KEYS_ITEM: Final = 1  # KEYS[number]
KEYS_ANY: Final = 2  # one of KEYS
ARGV_ITEM: Final = 3  # ARGV[number]
ARGV_RANGE: Final = 4  # one of ARGV, from the first number on, by steps of the second
ANY_TEXT: Final = 5  # anything

FormPart = tuple[int, int, int, bytes]
StringForm = tuple[FormPart, ...]

ANY_TEXT_PART: Final[FormPart] = (ANY_TEXT, 0, 0, b"")
UNKNOWN_FORM: Final[StringForm] = (ANY_TEXT_PART,)
EMPTY_FORM: Final[StringForm] = ((LITERAL, 0, 0, b""),)
#: More values for one expression are not listed, nor are longer ones.
MAX_FORMS: Final = 16
MAX_FORM_PARTS: Final = 32


@final
class UndeclaredKey:
    """A key that ``command`` uses beside those that are declared; a pattern up to the first of ``pattern_chars``.

    ``must_locate``: a pattern, of which it must be known where all keys that match it live.
    """

    def __init__(self, command: bytes, form: StringForm, pattern_chars: bytes, must_locate: bool) -> None:
        self.command = command
        self.form = form
        self.pattern_chars = pattern_chars
        self.must_locate = must_locate


def literal_text(form: StringForm) -> bytes | None:
    """The string if it is made of literals alone, else None."""
    if all(part[0] == LITERAL for part in form):
        return b"".join([part[3] for part in form])
    return None


def dedupe_forms(forms: list[StringForm]) -> list[StringForm]:
    """Each once; the unknown form if they are too many."""
    found: list[StringForm] = []
    for form in forms:
        if form not in found:
            found.append(form)
    return found if len(found) <= MAX_FORMS else [UNKNOWN_FORM]


def truncate_form(form: StringForm) -> StringForm:
    """The form with ANY_TEXT in place of what is beyond the bound."""
    return form if len(form) <= MAX_FORM_PARTS else (*form[: MAX_FORM_PARTS - 1], ANY_TEXT_PART)


def reads_no_key(form: StringForm) -> bool:
    """Whether a pattern of SORT reads no other key."""
    text = literal_text(form)
    return text is not None and b"*" not in text
