"""A node that may lack what was loaded is warmed up through one connection, while the others wait."""

import pytest

from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.scripts.warmup import WarmupConnection, WarmupState


def test_the_base_does_nothing() -> None:
    """What a connection does is for the connection to say."""
    connection = WarmupConnection()
    with pytest.raises(NotImplementedError):
        connection.is_connected()
    with pytest.raises(NotImplementedError):
        connection.load_scripts(b"", 0)
    with pytest.raises(NotImplementedError):
        connection.resume()


def test_nothing_is_missed() -> None:
    """A connection to a node that was not restarted and has missed nothing need not wait."""
    warmup = WarmupState()
    warmup.registries.append(ScriptRegistry())
    warmup.registries[0].load_library(b"#!lua name=x")
    assert not warmup.join(WarmupConnection())
    assert warmup.warmup_count == 0


def test_pools_in_common() -> None:
    """Nodes can help each other if they share a registry."""
    one, two, three = WarmupState(), WarmupState(), WarmupState()
    registry, other = ScriptRegistry(), ScriptRegistry()
    one.registries += [registry, other]
    two.registries += [other]
    three.registries += [ScriptRegistry()]
    assert one.shares_a_pool(two)
    assert two.shares_a_pool(one)
    assert not one.shares_a_pool(three)
