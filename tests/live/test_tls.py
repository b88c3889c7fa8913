"""TLS on listeners: the real program, stock clients, rings and copies, one worker and two."""

import signal
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
from kidoproxy.admin.node_check import check_nodes
from kidoproxy.config.read import load
from tests.certificates import Authority
from tests.live.proxies import RunningProxy, Starter
from tests.needs import needs
from tests.ports import free_port
from tests.wait import eventually

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


def test_nodes_that_want_a_certificate(own_proxy: Starter, tmp_path: Path) -> None:
    """Under another name than their address; a reload renews what they are shown, and whom the proxy trusts."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    served = old.sign("node.pem", names="DNS:node.example")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.ca_file.read_bytes() + new.ca_file.read_bytes())
    shown, ca = tmp_path / "shown.pem", tmp_path / "ca-of-nodes.pem"
    shown.write_bytes(old.sign("proxy.pem", "proxy", usage="clientAuth").read_bytes())
    ca.write_bytes(old.ca_file.read_bytes())
    port = free_port()
    args = ["--tls-port", str(port), "--tls-cert-file", served, "--tls-key-file", served, "--tls-ca-cert-file", trusted]
    proxy = own_proxy(
        "ring",
        1,
        server=needs("redis-server"),
        tcp=True,
        args=[str(word) for word in args],
        through=lambda urls: [f"rediss://127.0.0.1:{port}"],
        node={"server_hostname": "node.example"},
        tls={"ca_file": str(ca), "node_cert_file": str(shown), "node_key_file": str(shown)},
    )
    assert proxy.client().set("k", "v")
    (found,) = check_nodes(load(proxy.config, {}))["pool"]
    assert found.problems == []
    renewed = new.sign("node.pem", names="DNS:node.example")
    (node,) = proxy.node_clients()
    node.config_set("tls-key-file", str(renewed), "tls-cert-file", str(renewed))
    ca.write_bytes(new.ca_file.read_bytes())
    shown.write_bytes(new.sign("proxy.pem", "proxy", usage="clientAuth").read_bytes())
    assert proxy.process is not None
    proxy.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration applied" in proxy.log())
    node.client_kill_filter(_type="normal", skipme=True)
    with proxy.client() as client:
        eventually(lambda: answers(client))
        assert client.get("k") == b"v"


def answers(client: Any) -> bool:
    """Whether the node behind the proxy answers by now."""
    try:
        client.get("k")
    except redis.RedisError:
        return False
    return True


def test_users_of_certificates_and_a_plain_port(own_proxy: Starter, tmp_path: Path) -> None:
    """Who shows a certificate is the user that it names; who comes to the plain port of the pool logs in."""
    authority = Authority(tmp_path)
    secured, plain = free_port(), free_port()
    ann = str(authority.sign("ann.pem", "ann"))
    proxy = own_proxy(
        "ring",
        1,
        tls={**LISTENER, "client_ca_file": str(authority.ca_file), "auth_clients_user": "CN"},
        password="secret",
        users={"ann": {"keys": ["a:*"]}},
        listen=[f"127.0.0.1:{secured}", f"redis://127.0.0.1:{plain}"],
    )
    proxy.port = secured
    with secure(proxy, ssl_certfile=ann, ssl_keyfile=ann) as client:
        assert client.acl_whoami() == b"ann"
        assert client.set("a:1", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("b", 1)
    proxy.port = plain
    assert proxy.client(password="secret").get("a:1") == b"1"
    with pytest.raises(redis.AuthenticationError):
        proxy.client(username="ann", password="").ping()
    with pytest.raises(redis.ConnectionError):
        secure(proxy).ping()


def test_a_handshake_under_way_when_it_stops(own_proxy: Starter) -> None:
    """It is finished and its request answered, then the client is told the end; who is silent holds up nobody."""
    proxy = own_proxy("ring", 1, tls=LISTENER)
    context = ssl.create_default_context(cafile=str(PEM))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with proxy.raw() as client, proxy.raw():
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.sendall(outgoing.read())
        incoming.write(client.recv(65536))
        assert proxy.process is not None
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: "draining" in proxy.log())
        tls.do_handshake()
        tls.write(b"*1\r\n$4\r\nPING\r\n")
        client.sendall(outgoing.read())
        while data := client.recv(65536):
            incoming.write(data)
        assert tls.read() == b"+PONG\r\n"
        assert proxy.end() == 0
    assert "seconds=1." in proxy.log().rpartition("stopped")[2]
