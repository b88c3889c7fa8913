"""The generated file and table: complete, valid, and true to what is read."""

import json
import re
from pathlib import Path

from kidoproxy.config.example import TABLES, example_file, markdown_table, settings, to_toml
from kidoproxy.config.schema import NodeTable
from tests.config.files import read

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"


def test_it_is_valid(tmp_path: Path) -> None:
    """The example can be used as it is, and means the defaults."""
    config = read(tmp_path, example_file())

    assert list(config.pools) == ["cache"]
    assert config.workers == 1


def test_every_ring_setting_can_be_uncommented(tmp_path: Path) -> None:
    """Each commented line is valid TOML for its key: only what belongs to another mode is left as it is."""
    text = re.sub(r'"/etc/(kidoproxy|ssl)/[\w-]+\.pem"', json.dumps(str(PEM)), example_file())
    text = text.replace("redis://10.0.0.1", "rediss://10.0.0.1")
    of_copies = ("ack", "min_in_sync", "effect_max_mb", "heal", "sync_keys_per_s", "scrub", "read", "hedge_ms")
    kept = (*of_copies, "password_file", "admin_token_file")
    lines = [
        line[2:] if re.match(r"# (\[pool|\w+ = )", line) and not line[2:].startswith(kept) else line
        for line in text.splitlines()
    ]
    config = read(tmp_path, "\n".join(lines), {"PROXY_PASSWORD": "x", "APP_PASSWORD": "y"})

    assert config.pools["cache"].deny == {b"keys", b"flushall"}
    assert config.pools["cache"].rename == {b"flushall": b"drop-it-all"}
    assert str(config.admin) == "127.0.0.1:9380"


def test_every_key_has_a_sentence() -> None:
    """Each key is explained where it is defined."""
    for _, table in TABLES:
        assert all(setting.description.endswith(".") for setting in settings("", table))
    assert all(setting.description.endswith(".") for setting in settings("", NodeTable))


def test_the_table_names_every_key() -> None:
    """The table for the README has a row for each key, with its bounds and its mode."""
    table = markdown_table()

    assert "| pool.NAME | `timeout_ms` | `500` | live | Deadline of every command at its node. 1 to 600000. |" in table
    assert "| pool.NAME | `min_in_sync` | `1` | live | Only in a copy pool. " in table
    assert "| a node | `weight` | `1` | restart | Only in a ring pool. " in table
    assert len(table.splitlines()) == 2 + sum(len(list(settings("", kind))) for _, kind in TABLES) + 7


def test_values_as_toml() -> None:
    """Values are written as TOML reads them."""
    assert to_toml(["a", 1, True]) == '["a", 1, true]'
    assert to_toml({"a": "b"}) == '{ a = "b" }'
    assert to_toml({}) == "{}"
