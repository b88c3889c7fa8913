"""TLS on listeners: the real program, stock clients, rings and copies, one worker and two."""

import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kidoproxy.admin import control_client
from kidoproxy.config import load
from tests.live.proxies import RunningProxy, Starter
from tests.needs import needs

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"
LISTENER = {"cert_file": str(PEM), "key_file": str(PEM)}

pytestmark = pytest.mark.live


def secure(proxy: RunningProxy, protocol: int = 3, **options: Any) -> Any:
    """A client that checks the certificate."""
    return redis.Redis(
        host="localhost",
        port=proxy.port,
        protocol=protocol,
        ssl=True,
        ssl_ca_certs=str(PEM),
        retry=Retry(NoBackoff(), 0),
        **options,
    )


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(("mode", "workers"), [("ring", 1), ("ring", 2), ("copy", 1)])
def test_a_stock_client(own_proxy: Starter, mode: str, workers: int, protocol: int) -> None:
    """Values of every size, pipelines, transactions, blocking commands and subscriptions pass."""
    proxy = own_proxy(mode, 2, tls=LISTENER, proxy={"workers": workers})
    with secure(proxy, protocol) as client:
        large = b"x" * 3_000_000
        assert client.set("{k}a", large)
        assert client.get("{k}a") == large
        with client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.set(f"key:{number}", number)
            assert all(pipe.execute())
        assert client.mget([f"key:{number}" for number in range(50)]) == [b"%d" % number for number in range(50)]
        with client.pipeline() as pipe:
            assert pipe.set("{k}b", 1).incr("{k}b").execute() == [True, 2]
        with client.pubsub() as listener:
            listener.subscribe("news")
            assert listener.get_message(timeout=10)["type"] == "subscribe"
        if mode == "ring":
            assert client.blpop("{k}none", 0.05) is None


def test_plain_clients_are_turned_away(own_proxy: Starter) -> None:
    """With a line in the log and a metric; those that speak TLS go on."""
    proxy = own_proxy("ring", 1, tls=LISTENER)
    with proxy.raw() as wire:
        wire.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert wire.recv(100)[:1] in (b"", b"\x15")
    with secure(proxy) as client:
        assert client.ping()


def test_who_must_show_a_certificate(own_proxy: Starter) -> None:
    """One without it is not served."""
    proxy = own_proxy("ring", 1, tls={**LISTENER, "client_ca_file": str(PEM)})
    with secure(proxy) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    with secure(proxy, ssl_certfile=str(PEM), ssl_keyfile=str(PEM)) as client:
        assert client.ping()


def test_a_client_that_ends_in_the_middle(own_proxy: Starter) -> None:
    """Neither a reset nor half a record harms the next one."""
    proxy = own_proxy("ring", 1, tls=LISTENER)
    context = ssl.create_default_context(cafile=str(PEM))
    for data in (b"*2\r\n$3\r\nGET\r\n", b"*2\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n"):
        plain = socket.create_connection(("127.0.0.1", proxy.port), 20)
        with context.wrap_socket(plain, server_hostname="localhost") as wire:
            wire.sendall(data)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    with secure(proxy) as client:
        assert client.ping()


def test_an_order_about_a_copy(own_proxy: Starter) -> None:
    """``kidoproxy sync`` speaks TLS to its own listener."""
    proxy = own_proxy("copy", 2, tls={**LISTENER, "client_ca_file": str(PEM)})
    with pytest.raises(redis.ResponseError, match="node-1 is in sync already"):
        control_client.sync(load(proxy.config, {}), "pool", "node-1", print)


def test_redis_cli(own_proxy: Starter) -> None:
    """The tool that everybody has."""
    proxy = own_proxy("ring", 2, tls=LISTENER)
    argv = [needs("redis-cli"), "-h", "localhost", "-p", str(proxy.port), "--tls", "--cacert", str(PEM)]
    done = subprocess.run([*argv, "set", "k", "v"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "OK\n", done.stderr
