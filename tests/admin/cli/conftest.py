"""A command line, files for it, and a daemon that is none."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.admin.cli.invoke import Daemon
from tests.config.files import COPY, RING


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """``serve`` holds SIGHUP back until the daemon takes it, which is none here."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def ring(tmp_path: Path) -> str:
    """The path of a ring's file."""
    file = tmp_path / "ring.toml"
    file.write_text(RING)
    return str(file)


@pytest.fixture
def copies(tmp_path: Path) -> str:
    """The path of a copy pool's file."""
    file = tmp_path / "copies.toml"
    file.write_text(COPY)
    return str(file)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that ``serve`` starts."""
    fake = Daemon()
    module = ModuleType("kidoproxy.net.serve")
    monkeypatch.setattr(module, "run", fake.run, raising=False)
    monkeypatch.setitem(sys.modules, "kidoproxy.net.serve", module)
    return fake
