# mypy: disable-error-code="import-untyped"
"""A plain Redis node, a node with canned replies, and Django's settings, for the cache backends."""

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.django import soft_failures
from kidoproxy.django.pool_check import forget_checks
from tests.django.canned import CannedNode

if not settings.configured:
    settings.configure()


@pytest.fixture(scope="session")
def node_url() -> Iterator[str]:
    """The URL of one real node, shared by the tests."""
    with EmbeddedNodes() as nodes:
        yield nodes.start(1, tcp=True)[0]


@pytest.fixture
def node(node_url: str) -> Iterator[redis.Redis]:
    """A direct connection to the real node, which is emptied."""
    with redis.Redis.from_url(node_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def canned() -> Iterator[CannedNode]:
    """A node that says what the test tells it to; whoever was at its address before is forgotten."""
    forget_checks()
    soft_failures.by_place.clear()
    with CannedNode() as node:
        yield node
