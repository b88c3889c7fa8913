"""Ports that programs are told to listen on."""

import socket

import pytest

from tests import ports
from tests.ports import PORTS, free_port


def test_a_free_port_is_free() -> None:
    """Somebody can listen there, and the kernel gives it to nobody else."""
    port = free_port()
    assert port in PORTS
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_that_somebody_has_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is taken the next one is tried."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        drawn = iter([port, free])

        class Drawn:
            def choice(self, among: range) -> int:
                return next(drawn)

        monkeypatch.setattr(ports, "_RANDOM", Drawn())
        assert free_port() == free
