"""Files that are not TOML; whole files are in test_wrong_files.py."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.config.other_formats import other_format, toml_error, wrong_encoding
from tests.config.files import RING


@given(st.binary(max_size=60))
def test_bytes(data: bytes) -> None:
    """What passes is text, and no more than one line is said of what does not."""
    why = wrong_encoding(data)
    assert "\n" not in why
    if not why:
        assert data.decode("utf-8").strip(" \t\n\r\v\f")  # what bytes.strip takes away; a text has more blanks


@given(st.text(max_size=60))
def test_texts(text: str) -> None:
    """Any text gets one line, if TOML does not take it."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = other_format(text) or toml_error(str(error), text)
        assert line
        assert "\n" not in line


@pytest.mark.parametrize("mistake", ["x", "x = yes", "listen = '", "[pool", "x: 1"])
def test_a_mistake_does_not_make_another_format_of_it(mistake: str) -> None:
    """A TOML file with one bad line is still taken for TOML."""
    assert other_format(f"# ours\n{RING}{mistake}\n") == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("blank", ["\n", " \n", "\r\n"])
def test_many_empty_lines(blank: str) -> None:
    """They are passed over one by one."""
    assert other_format(blank * 100_000 + "a:\n  servers:\n") == (
        "is a nutcracker.yml, not TOML; kidoproxy import FILE makes a configuration of it"
    )
