# mypy: disable-error-code="import-untyped"
"""What is read of the proxy's file."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.proxy_file import password_of, read_pools


def written(folder: Path, text: str) -> Path:
    """A file with this text."""
    file = folder / "kidoproxy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their nodes as addresses, through tables, variables and other pools; and the URL of their first listener."""
    monkeypatch.setenv("HOST_A", "a")
    file = written(
        tmp_path,
        """
        [pool.pair]
        mode = "copy"
        nodes = [{ url = "redis://${HOST_A}:1", name = "x" }, "unix:///run/$${b.sock"]
        [pool.all]
        listen = ["0.0.0.0:6380", "unix:///run/p.sock"]
        mode = "ring"
        nodes = ["pool:pair", "rediss://c"]
        """,
    )
    pair, everything = read_pools(file)
    assert (pair.name, pair.mode, pair.nodes, pair.url) == ("pair", "copy", ["a:1", "unix:///run/${b.sock"], "")
    assert everything.nodes == [*pair.nodes, "c:6379"]
    assert (everything.listen, everything.url) == ("0.0.0.0:6380", "redis://127.0.0.1:6380")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ('listen = "[::]:6380"', "redis://[::1]:6380"),
        ('listen = "h:6380"\ntls = { cert_file = "c", key_file = "k" }', "rediss://h:6380"),
        ('listen = "redis://h:6380"\ntls = { cert_file = "c", key_file = "k" }', "redis://h:6380"),
        ('listen = "unix:///run/p.sock"', "unix:///run/p.sock"),
        ('listen = "127.0.0.1:0"', ""),
        ("listen = []", ""),
    ],
)
def test_where_it_listens(settings: str, url: str, tmp_path: Path) -> None:
    """What somebody on this machine connects to."""
    (pool,) = read_pools(written(tmp_path, f'[pool.x]\nmode = "ring"\nnodes = ["redis://a"]\n{settings}'))
    assert pool.url == url


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "x = 1",
        "[pool.x]",
        '[pool.x]\nnodes = ["http://a"]',
        "[pool.x]\nnodes = [1]",
        '[pool]\nx = "y"',
        '[pool.x]\nnodes = ["pool:x"]',
    ],
)
def test_other_files(text: str, tmp_path: Path) -> None:
    """What is no configuration of the proxy is one error, which names the command that says more."""
    file = written(tmp_path, text)
    with pytest.raises(ImproperlyConfigured, match=f"kidoproxy check {file}"):
        read_pools(file)


def test_no_file(tmp_path: Path) -> None:
    """Nor is a file that is not there."""
    with pytest.raises(ImproperlyConfigured, match="none: cannot be read: No such file"):
        read_pools(tmp_path / "none")


def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the file, the environment or a file beside it, or an error says what is missing."""
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("PW", "from env")

    def password(setting: str) -> str:
        file = written(tmp_path, f'[pool.x]\nmode = "ring"\nnodes = ["redis://a"]\n{setting}')
        return password_of("RedisRing", read_pools(file)[0], file)

    assert password("") == ""
    assert password('password = "plain"') == "plain"
    assert password('password = "${PW}"') == "from env"
    assert password('password_file = "secret"') == "from file"
    with pytest.raises(ImproperlyConfigured, match="environment variable NOT_THERE"):
        password('password = "${NOT_THERE}"')
    with pytest.raises(ImproperlyConfigured, match="password_file cannot be read"):
        password('password_file = "none"')
