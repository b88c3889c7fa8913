"""Listeners that come and go by a reload, under clients that notice nothing; claims and upgrades follow."""

import socket
import stat
from pathlib import Path
from typing import Final

import pytest
import redis

from kidoproxy.net.address_claims import claim_owners
from tests.admin.cli.invoke import invoke
from tests.live.proxies import RunningProxy, Starter
from tests.live.reloading import load, reload, replace
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live

ONE_AND_TWO: Final = pytest.mark.parametrize("workers", [1, 2])


def ping(port: int) -> bool:
    with redis.Redis("127.0.0.1", port) as client:
        return bool(client.ping())


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def claimed_ports(proxy: RunningProxy) -> set[str]:
    return {owner.bind_address.endpoint for owner in claim_owners() if owner.pid == proxy.pid}


@ONE_AND_TWO
def test_addresses_change_under_load(own_proxy: Starter, tmp_path: Path, workers: int) -> None:
    """New ones answer, old ones refuse, and no command of anybody fails, whenever a connection was made."""
    proxy = own_proxy("ring", 2, proxy={"workers": workers})
    first, second, path = proxy.port, free_port(), tmp_path / "s"
    both = f'["127.0.0.1:{first}", "127.0.0.1:{second}", "unix://{path}"]'
    with load(proxy, 4):
        replace(proxy, f'"127.0.0.1:{first}"', both + "\nsocket_mode = '0640'")
        reload(proxy, workers=workers)
        assert all(ping(second) for _ in range(8))
        with redis.Redis(unix_socket_path=str(path)) as client:
            assert client.ping()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert claimed_ports(proxy) >= {f"tcp/{first}", f"tcp/{second}"}
        proxy.port = second
        with load(proxy, 4, "second"):
            replace(proxy, both, f'"127.0.0.1:{second}"')
            reload(proxy, workers=workers)
            assert not path.exists()
            eventually(lambda: is_refused(first))
            eventually(lambda: f"tcp/{first}" not in claimed_ports(proxy))
    assert "Traceback" not in proxy.log()


@ONE_AND_TWO
def test_an_address_that_cannot_be_had(own_proxy: Starter, workers: int) -> None:
    """Nothing of the file is taken over by any worker, and its good addresses are free again."""
    proxy, other = own_proxy("ring", 1, proxy={"workers": workers}), own_proxy("ring", 1)
    new = free_port()
    with load(proxy, 4):
        listen = f'["127.0.0.1:{proxy.port}", "127.0.0.1:{new}", "127.0.0.1:{other.port}"]'
        replace(proxy, f'listen = "127.0.0.1:{proxy.port}"', f'listen = {listen}\ndeny = ["keys"]')
        found = invoke("reload", "--config", str(proxy.config), "--pid", str(proxy.pid))
        assert found.exit_code == 1
        assert f"cannot listen on 127.0.0.1:{other.port}: address already in use by kidoproxy" in found.output
        assert is_refused(new)
        assert all(proxy.client().keys("none") == [] for _ in range(8))
        replace(proxy, f', "127.0.0.1:{other.port}"', "")
        assert invoke("reload", "--config", str(proxy.config)).exit_code == 0
        assert ping(new)
    assert "Traceback" not in proxy.log()
