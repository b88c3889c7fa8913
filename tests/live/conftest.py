"""Fixtures of the live tests: the real command line in front of real servers, gone when the test is over.

``serve_proxy("ring", 3, timeout_ms=200)`` gives a `RunningProxy`; it lives as long as the module, so that
several tests may share it. ``own_proxy`` is the same for one test. Options are keys of the pool;
``proxy={…}`` are those of the process.

``server`` is the address of what a library's tests talk to: a ring of three with what the module has in
``TOGETHER``, then two copies, which must hold the same when the module's tests are over. With
``KIDOPROXY_STRAIGHT=1`` it is one server itself before that, which proves that the test is right: when one fails,
see whether it does so without us.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.proxies import Starter, starter
from tests.live.same_copies import check_copies

STRAIGHT: Final = os.environ.get("KIDOPROXY_STRAIGHT") == "1"
POOLS: Final = ("ring", "copies")


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


@pytest.fixture(scope="module", params=["straight", *POOLS] if STRAIGHT else POOLS)
def server(request: pytest.FixtureRequest, serve_proxy: Starter) -> Iterator[str]:
    """The URL of a ring, of copies, or of a server."""
    if request.param == "straight":
        with EmbeddedNodes() as nodes:
            yield nodes.start(1, tcp=True)[0]
    elif request.param == "copies":
        copies = serve_proxy("copy", 2, timeout_ms=10_000)
        yield copies.url
        check_copies(copies)
    else:
        yield serve_proxy("ring", 3, timeout_ms=10_000, together=request.module.TOGETHER).url
