"""``kidoproxy import``: what goes to which stream, and with which exit status it ends."""

from pathlib import Path

import pytest

from tests.admin.cli.invoke import invoke

NUTCRACKER = "cache:\n  listen: 127.0.0.1:6380\n  redis: true\n  servers: [10.0.0.1:6379:1, 10.0.0.2:6379:1]\n"
SETTINGS = 'CACHES = {"default": {"BACKEND": "redisdb.backends.RedisRing", "LOCATION": ["10.0.0.1", "10.0.0.2"]}}\n'


def test_nutcracker(tmp_path: Path) -> None:
    """The file goes to standard output; what it lost, and the exit status, to whoever looks."""
    file = tmp_path / "nutcracker.yml"
    file.write_text("\ufeff" + NUTCRACKER, encoding="utf-8")
    done = invoke("import", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "[pool.cache]\n" in done.stdout
    file.write_text(NUTCRACKER + "  redis_db: 3\n", encoding="utf-8")
    done = invoke("import", str(file))
    assert done.exit_code == 1
    assert "NOT CARRIED OVER: nutcracker.yml: cache: redis_db" in done.stderr
    assert done.stderr.endswith("kidoproxy: 1 thing was not carried over\n")
    assert "[pool.cache]\n" in done.stdout


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, or a module beside which one stands."""
    (tmp_path / "import_me_settings.py").write_text(SETTINGS + "print('loaded')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for source in ("import_me_settings.py", "import_me_settings"):
        done = invoke("import", source)
        assert (done.exit_code, done.stderr) == (0, "loaded\n")
        assert 'hash = "hash_ring"' in done.stdout
        assert "loaded" not in done.stdout


@pytest.mark.parametrize(
    ("name", "text", "status", "line"),
    [
        ("n.yml", "a: [", 2, "n.yml: line 1, column 5: is not YAML"),
        ("missing.yml", None, 2, "cannot be read: No such file or directory"),
        ("n.yml", NUTCRACKER.replace("true", "false"), 1, "is for memcached"),
        ("s.py", "x = (", 2, "cannot be imported: SyntaxError"),
        ("s.py", "1 / 0", 2, "cannot be imported: ZeroDivisionError"),
        ("s.py", "", 2, "has no CACHES"),
        ("s.py", "CACHES = {}", 1, "has no pool of Redis servers"),
    ],
)
def test_what_cannot_be_imported(tmp_path: Path, name: str, text: str | None, status: int, line: str) -> None:
    """One line, no traceback."""
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = invoke("import", str(tmp_path / name))
    assert done.exit_code == status
    assert line in done.stderr
    assert "Traceback" not in done.stderr
