"""``kidoproxy ring diff``: two files, real keys, and the exit status."""

from pathlib import Path

from tests.admin.cli.invoke import invoke
from tests.config.files import RING, pool


def test_nothing_moves(tmp_path: Path) -> None:
    """Exit status 0, also for pools that only one has."""
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text(RING)
    new.write_text(RING + '[pool.more]\nlisten = "127.0.0.1:1"\nmode = "ring"\nnodes = ["redis://x"]\n')
    result = invoke("ring", "diff", str(old), str(new))
    assert (result.exit_code, result.output) == (0, "pool cache: no key moves\npool more: only in new.toml\n")


def test_keys_move(tmp_path: Path) -> None:
    """Exit status 1; keys are counted, whatever ends their lines."""
    old, new, keys = tmp_path / "old.toml", tmp_path / "new.toml", tmp_path / "keys"
    old.write_text(pool("", nodes='["redis://a"]'))
    new.write_text(pool("", nodes='["redis://b"]'))
    keys.write_bytes(b"one\r\n\xff\n")
    result = invoke("ring", "diff", str(old), str(new), "--keys", str(keys))
    assert result.exit_code == 1
    assert "of 2 keys 2 move, 100.0 %" in result.output
    assert "100.0 %  a:6379 -> b:6379" in result.output


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Exit status 2 for a configuration or a command line that is wrong."""
    old = tmp_path / "old.toml"
    old.write_text(RING)
    assert invoke("ring", "diff", str(old), str(tmp_path / "none")).exit_code == 2
    assert invoke("ring", "diff", str(old), str(old), "--keys", str(tmp_path / "none")).exit_code == 2
    assert invoke("ring", "diff", str(old), str(old), "--keys", str(tmp_path)).exit_code in (1, 2)
