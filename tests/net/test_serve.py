"""``kidoproxy serve`` as a process of its own."""

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.config.read import load
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.given_sockets import GivenSocket
from kidoproxy.net.handover import Predecessor
from kidoproxy.net.serve import claim_addresses, take_given_sockets
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from tests.ports import free_port

SECONDS: Final = 30

FEW_FILES: Final = """
import resource
from kidoproxy.admin.cli import main
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
main()
"""


def test_what_the_file_listens_on_no_more(tmp_path: Path) -> None:
    """Sockets and claims of the former process that are of no use: clients are refused, and others may listen there."""
    with ExitStack() as stack:
        kept, other = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [sock.getsockname()[1] for sock in (kept, other)]
        claim_names = [f"\0kidoproxy-claim tcp/{port} 127.0.0.1" for port in ports]
        claims = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in ports]
        for claim, name in zip(claims, claim_names, strict=True):
            claim.bind(name)
        channel = stack.enter_context(socket.socket(socket.AF_UNIX))
        predecessor = Predecessor(1, channel, [GivenSocket(sock) for sock in (kept, other)], claims)
        file = tmp_path / "kido.toml"
        file.write_text(f'[pool.a]\nlisten = "127.0.0.1:{ports[0]}"\nmode = "ring"\nnodes = ["redis://127.0.0.1:1"]\n')
        config = load(file)
        given = take_given_sockets(config, predecessor)
        taken: AddressClaims = claim_addresses(config, given, predecessor)
        stack.callback(taken.close)
        assert [each.socket for each in given.sockets] == [kept]
        with pytest.raises(ConnectionRefusedError):
            connected(ports[1])
        assert (claims[0].fileno() > 0, claims[1].fileno()) == (True, -1)
        assert claims[0] in taken.claim_sockets()


def test_too_few_open_files(tmp_path: Path) -> None:
    """At the limit of open files new clients get an error, the others are served, and later ones are let in again."""
    port = free_port()
    file = tmp_path / "kido.toml"
    file.write_text(f'[pool.cache]\nlisten = "127.0.0.1:{port}"\nmode = "ring"\nnodes = ["redis://127.0.0.1:1"]\n')
    process = subprocess.Popen(
        [sys.executable, "-c", FEW_FILES, "serve", "--config", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert any("is ready" in line for line in process.stdout)
        with ExitStack() as stack:
            first = stack.enter_context(connected(port))
            replies = [ping(stack.enter_context(connected(port))) for _ in range(80)]
            assert b"+PONG\r\n" in replies
            assert errors.MAX_CLIENTS in replies
            assert ping(first) == b"+PONG\r\n"
        while not ping_once(port):
            pass
    finally:
        process.send_signal(signal.SIGTERM)
        _, problems = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "max_clients lowered: from=10000 to=32 reason=" in problems
    assert "Traceback" not in problems


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS)


def ping(client: socket.socket) -> bytes:
    """PONG, or nothing when the connection has ended."""
    try:
        client.sendall(encode_request([b"PING"]))
        return client.recv(100)
    except ConnectionError:
        return b""


def ping_once(port: int) -> bytes:
    with connected(port) as client:
        return ping(client)
