"""From a file to a configuration, and the run without a file."""

from pathlib import Path

import pytest

from kidoproxy.config import ConfigError
from kidoproxy.config.read import embedded_config, load
from tests.config.files import RING, problems

TOML_MISTAKES = [
    ("x = ]", "ring.toml: line 1, column 5: is not TOML: invalid value"),
    ("a = 1\na = 2\n", "ring.toml: line 2, column 6: is not TOML: cannot overwrite a value"),
    ('a = "x', "ring.toml: at its end: is not TOML: unterminated string"),
]


@pytest.mark.parametrize(("text", "expected"), TOML_MISTAKES)
def test_not_toml(tmp_path: Path, text: str, expected: str) -> None:
    """The error of a file that is not TOML says where it stops being TOML."""
    (line,) = problems(tmp_path, text)

    assert line.startswith(expected)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named in full."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "no.toml")

    assert caught.value.problems == [f"{tmp_path}/no.toml: there is no such file"]


def test_not_a_file(tmp_path: Path) -> None:
    """A file that cannot be read says why."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)

    assert caught.value.problems == [f"{tmp_path}: cannot be read: Is a directory; name the file in it"]


def test_not_text(tmp_path: Path) -> None:
    """TOML is UTF-8; the first byte that is not is named."""
    (tmp_path / "ring.toml").write_bytes(b"# \xff")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "ring.toml")

    assert caught.value.problems == ["ring.toml: line 1: is not TOML: byte 2 is not UTF-8; save it as UTF-8"]


def test_embedded() -> None:
    """Names do not depend on the sockets, so the same keys go to the same node in every run."""
    config = embedded_config("copy", "127.0.0.1:6380", ["unix:///t/a", "unix:///t/b"])

    local = config.pools["local"]
    assert [(node.name, str(node.address)) for node in local.nodes] == [
        ("node-1", "unix:///t/a"),
        ("node-2", "unix:///t/b"),
    ]
    assert (local.mode, config.state_dir, config.source) == ("copy", None, "")


def test_bad_listen() -> None:
    """A bad --listen is named as such."""
    with pytest.raises(ConfigError, match=r"^--listen: pool\.local\.listen: needs a host and a port"):
        embedded_config("ring", "6380", ["unix:///t/a"])


def test_a_whole_file(tmp_path: Path) -> None:
    """A file with no mistake is a configuration that knows its file; one with mistakes of sense is none."""
    (tmp_path / "ring.toml").write_text(RING)
    assert load(tmp_path / "ring.toml", {"HOME": "/h"}).source == "ring.toml"

    (tmp_path / "ring.toml").write_text(RING.replace("ring", "copy").replace("10.0.0.2", "10.0.0.1"))
    with pytest.raises(ConfigError, match="same node"):
        load(tmp_path / "ring.toml")
    (tmp_path / "ring.toml").write_text(RING.replace("mode", "moed"))
    with pytest.raises(ConfigError, match='did you mean "mode"'):
        load(tmp_path / "ring.toml")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "[" * 100_000, "a = " + "{a = " * 5000])
def test_a_file_without_bottom(tmp_path: Path, text: str) -> None:
    """It is refused as any other mistake is, so that a reload goes on with what it had."""
    assert problems(tmp_path, text) == ["ring.toml: is nested too deeply"]
