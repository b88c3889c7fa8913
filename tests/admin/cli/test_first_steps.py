"""The hints of a first run; tests/live/test_serve.py runs them as they are printed."""

from collections.abc import Callable

import pytest

from kidoproxy.admin.cli.first_steps import first_steps
from kidoproxy.config.read import embedded_config


def found(*programs: str) -> Callable[[str], str | None]:
    """A machine that has these programs."""
    return lambda name: f"/usr/bin/{name}" if name in programs else None


@pytest.mark.parametrize(
    ("listen", "programs", "command"),
    [
        ("127.0.0.1:6380", ["redis-cli", "valkey-cli"], "  redis-cli -h 127.0.0.1 -p 6380 set hello world"),
        ("127.0.0.1:6380", ["valkey-cli"], "  valkey-cli -h 127.0.0.1 -p 6380 set hello world"),
        ("unix:///tmp/a b.sock", ["redis-cli"], "  redis-cli -s '/tmp/a b.sock' set hello world"),
    ],
)
def test_what_the_machine_has(listen: str, programs: list[str], command: str) -> None:
    """The first client that is there; no program is named that is not."""
    lines = first_steps(embedded_config("ring", listen, ["unix:///n"]), 1, found(*programs))
    assert command in lines
    assert "a ring of 1 embedded node. Try:" in lines[1]


def test_admin_pages() -> None:
    """Their address is a link; a proxy for every address of the machine is asked at its own."""
    config = embedded_config("ring", "127.0.0.1:1", ["unix:///n"], "127.0.0.1:9380")
    assert "  http://127.0.0.1:9380/" in first_steps(config, 3, found())
