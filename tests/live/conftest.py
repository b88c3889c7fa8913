"""Fixtures of the live tests: the real command line in front of real servers, gone when the test is over.

``serve_proxy("ring", 3, timeout_ms=200)`` gives a `RunningProxy`; it lives as long as the module, so that
several tests may share it. ``own_proxy`` is the same for one test. Options are keys of the pool;
``proxy={…}`` are those of the process.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.proxies import Starter, starter


@pytest.fixture(scope="module")
def serve_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Starts proxies that live until the module's tests are over."""
    with starter(tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture
def own_proxy(tmp_path: Path) -> Iterator[Starter]:
    """Starts proxies that live until the test is over."""
    with starter(tmp_path) as made:
        yield made
