"""A disk that does not take the record of the copies: nothing is acknowledged that a crash would make unsafe."""

import shutil

import pytest
import redis

from tests.live.contents import states
from tests.live.proxies import Starter
from tests.wait import eventually

pytestmark = pytest.mark.live


def test_writes_are_refused_and_reads_go_on(own_proxy: Starter) -> None:
    """While all copies are in sync no record is needed; when one falls behind writes wait for it, and come back."""
    proxy = own_proxy("copy", 2, timeout_ms=2000)
    client = proxy.client(socket_timeout=30)
    state = proxy.folder / "state"
    aside = proxy.folder / "aside"
    shutil.move(state, aside)
    state.write_text("a file is in the way")
    assert client.set("k", 1)
    proxy.kill(1)
    with pytest.raises(redis.ResponseError, match=r"TIMEOUT .* is not on disk yet\); the write may have run"):
        client.set("k", 2)
    with pytest.raises(redis.ResponseError, match=r"MISCONF nothing was written: .* \(File exists\)"):
        client.set("k", 3)
    assert client.get("k") == b"2"
    assert "state unwritable" in proxy.log()
    state.unlink()
    shutil.move(aside, state)

    def is_written() -> bool:
        try:
            return bool(client.set("k", 4))
        except redis.ResponseError:
            return False

    eventually(is_written)
    proxy.restart(1)
    eventually(lambda: states(proxy) == ["in sync", "behind"])
