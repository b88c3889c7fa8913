"""The file that is printed for somebody who has none."""

from pathlib import Path

import pytest

from kidoproxy.config.read import load
from kidoproxy.django.addresses import parse_node
from kidoproxy.django.hints import pool_table, start_hint

NODES = [parse_node(text) for text in ("localhost:6379", "localhost:6380", "redis://u:secret@h:1", "/run/r.sock")]


@pytest.mark.parametrize("mode", ["ring", "copy"])
def test_the_proxy_takes_it(mode: str, tmp_path: Path) -> None:
    """It is a configuration, of these nodes in this order, without a password, and with a free port."""
    file = tmp_path / "kidoproxy.toml"
    file.write_text(pool_table(mode, NODES, ["127.0.0.1:6381"]), encoding="utf-8")
    assert "secret" not in file.read_text()
    pool = load(file, {"NODE_PASSWORD": "p", "HOME": str(tmp_path)}).listening_pools()[0]
    assert (pool.mode, str(pool.listen[0])) == (mode, "127.0.0.1:6382")
    addresses = [str(getattr(member, "address", "")) for member in pool.members]
    assert addresses == [node.address for node in NODES]
    if mode == "ring":
        assert pool.ring is not None
        assert pool.ring.tags == b""
        assert [member.ring_name for member in pool.members] == ["0", "1", "2", "3"]


def test_the_command() -> None:
    """It says where the table belongs, and how the proxy is started with it."""
    hint = start_hint("copy", NODES, "/etc/k.toml", ())
    assert hint.startswith("Write into /etc/k.toml:\n\n[pool.copy]\n")
    assert "    kidoproxy serve --config /etc/k.toml\n" in hint
