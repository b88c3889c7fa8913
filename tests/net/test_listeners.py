"""Where a process listens, by pool and address."""

import asyncio
import gc
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from kidoproxy.config import Config
from kidoproxy.net.daemon import Daemon
from kidoproxy.net.succession import StartError
from tests.config.files import read

PEM = Path(__file__).with_name("localhost.pem")
POOL = 'mode = "ring"\nnodes = ["redis://127.0.0.1:1"]\n'


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()


def play(config: Config, scene: Callable[[Daemon], Awaitable[None]]) -> None:
    """``scene`` with a daemon that has listened nowhere yet; what it opens is closed."""

    async def main() -> None:
        daemon = Daemon(config)
        daemon.attach_to_loop(asyncio.get_running_loop())
        try:
            await scene(daemon)
        finally:
            for listener in daemon.listeners.all():
                listener.close()
            assert not any(listener.sockets() for listener in daemon.listeners.all())

    uvloop.run(asyncio.wait_for(main(), 20))


def test_tls_and_plain_side_by_side(tmp_path: Path) -> None:
    """Each listener knows what its clients have to speak; a unix socket is always plain."""
    listen = f'["127.0.0.1:0", "redis://127.0.0.1:0", "unix://{tmp_path}/s"]'
    tls = f'tls = {{ cert_file = "{PEM}", key_file = "{PEM}" }}\n'

    async def scene(daemon: Daemon) -> None:
        await daemon.listen_for_pools(True)
        assert not daemon.listeners.pool_listeners
        await daemon.listen_for_pools(False)
        found = daemon.listeners.pool_listeners
        assert [(each.pool, each.is_plain) for each in found] == [("a", False), ("a", True), ("a", True)]
        assert [isinstance(each.acceptor.tls, ssl.SSLContext) for each in found] == [True, False, False]
        assert (tmp_path / "s").exists()
        daemon.listeners.close_pools()
        assert not (tmp_path / "s").exists()

    play(read(tmp_path, f"[pool.a]\nlisten = {listen}\n{tls}{POOL}"), scene)


def test_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    """The pool, the address and the cause are named."""
    (tmp_path / "s").write_text("a file")

    async def scene(daemon: Daemon) -> None:
        with pytest.raises(StartError, match=rf"pool\.a: cannot listen on unix://{tmp_path}/s: file exists"):
            await daemon.listen_for_pools(False)

    play(read(tmp_path, f'[pool.a]\nlisten = "unix://{tmp_path}/s"\n{POOL}'), scene)
