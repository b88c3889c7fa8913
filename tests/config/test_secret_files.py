"""Secrets that stand in files of their own."""

from pathlib import Path

from tests.config.files import pool, read


def test_from_a_file(tmp_path: Path) -> None:
    """A password file is named relative to the configuration; its line end does not count."""
    (tmp_path / "pw").write_text("hush hush\n")
    cache = read(tmp_path, pool('password_file = "pw"', nodes='[{ url = "redis://h", password_file = "pw" }]')).pools[
        "cache"
    ]

    assert cache.password.reveal() == "hush hush"
    assert cache.nodes[0].password.reveal() == "hush hush"
