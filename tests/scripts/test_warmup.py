"""A node that may lack what was loaded is taught through one link, while its other links wait."""

import pytest

from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.scripts.warmup import WarmupConnection, WarmupState


def test_a_pupil_alone_does_nothing() -> None:
    """What a link does is for the link to say."""
    pupil = WarmupConnection()
    with pytest.raises(NotImplementedError):
        pupil.is_connected()
    with pytest.raises(NotImplementedError):
        pupil.load_scripts(b"", 0)
    with pytest.raises(NotImplementedError):
        pupil.resume()


def test_nothing_is_missed() -> None:
    """A link of a node that was not restarted and has missed nothing need not wait."""
    warmup = WarmupState()
    warmup.registries.append(ScriptRegistry())
    warmup.registries[0].load_library(b"#!lua name=x")
    assert not warmup.join(WarmupConnection())
    assert warmup.warmup_count == 0


def test_pools_in_common() -> None:
    """Neighbours stand in one pool that listens."""
    one, two, three = WarmupState(), WarmupState(), WarmupState()
    registry, other = ScriptRegistry(), ScriptRegistry()
    one.registries += [registry, other]
    two.registries += [other]
    three.registries += [ScriptRegistry()]
    assert one.shares_a_pool(two)
    assert two.shares_a_pool(one)
    assert not one.shares_a_pool(three)
