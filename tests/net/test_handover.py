"""What passes from one process to the next: both ends understand each other, and see each other's end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest
import uvloop

from kidoproxy.net import handover as handover_module
from kidoproxy.net.address_claims import AddressClaims
from kidoproxy.net.given_sockets import GivenSocket, GivenSockets
from kidoproxy.net.handover import (
    READY,
    VARIABLE,
    Handover,
    Predecessor,
    SharedFlag,
    describe,
    predecessor_of,
    read_message,
)


def test_what_one_describes_the_other_finds() -> None:
    """The sockets and whose they are, the claims, the channel; who is started next does not see it."""
    own_end, other_end = socket.socketpair()
    with own_end, socket.create_server(("127.0.0.1", 0)) as listening:
        sockets = [GivenSocket(listening.dup(), "a.socket"), GivenSocket(listening.dup())]
        claim = socket.socket()
        environ = {VARIABLE: describe(7, other_end, sockets, [claim])}
        for sock in (other_end, claim, *[given.socket for given in sockets]):
            # As in a process that has inherited the number.
            os.set_inheritable(sock.fileno(), True)
            sock.detach()
        found = predecessor_of(environ)
        assert found is not None
        assert environ == {}
        assert predecessor_of(environ) is None
        assert (found.pid, len(found.claims)) == (7, 1)
        address = GivenSocket(listening).address()
        assert [(each.address(), each.by_systemd) for each in found.sockets] == [(address, "a.socket"), (address, "")]
        found.say_ready()
        assert own_end.recv(100) == READY
        own_end.close()
        found.say_ready()
        for sock in (found.channel, *found.claims, *[each.socket for each in found.sockets]):
            assert not os.get_inheritable(sock.fileno())
            sock.close()


def test_records_of_copies() -> None:
    """They come as one line; what is cut off, or is none, are no records: the new process reads its own."""

    async def scenario() -> None:
        for sent, expected in ((b'{"a": "b"}\n', {"a": "b"}), (b'{"a": "b"}', {}), (b"{\n", {}), (b"", {})):
            own_end, other_end = socket.socketpair()
            with own_end, other_end:
                own_end.setblocking(False)
                other_end.sendall(sent)
                other_end.close()
                assert await read_message(own_end) == (sent.strip() if sent.endswith(b"\n") else b"")
            own_end, other_end = socket.socketpair()
            with other_end:
                other_end.sendall(sent)
                other_end.close()
                assert await Predecessor(1, own_end, [], []).released() == expected

    uvloop.run(asyncio.wait_for(scenario(), 20))


def test_all_processes_see_that_it_is_done() -> None:
    """Also those that were forked before."""
    flag = SharedFlag()
    pid = os.fork()
    if pid == 0:
        flag.set()
        os._exit(0)
    os.waitpid(pid, 0)
    assert flag.is_set()


def test_a_process_that_stops_lets_go() -> None:
    """Its listening sockets at once, the claims only when another process has them."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(socket.AF_UNIX) as claim:
        claims = AddressClaims()
        claims.sockets.append(claim)
        handover = Handover(GivenSockets([GivenSocket(listening)]), claims)
        handover.let_go()
        assert (listening.fileno(), claim.fileno() > 0) == (-1, True)
        handover.done.set()
        handover.let_go()
        assert claim.fileno() == -1


def test_whose_place_is_to_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    """With the first worker dies the upgrade that it was making, unless the new process has taken over already."""
    handover = Handover()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        handover.successor.note(process.pid)
        assert handover.is_worker_missed(1)
        assert process.poll() is None
        assert handover.is_worker_missed(0)
        assert process.wait(20) == -signal.SIGTERM
    assert f"upgrade failed: cause=the worker that made it has died process={process.pid}" in caplog.text
    caplog.clear()
    assert handover.is_worker_missed(0)
    assert not caplog.text
    handover.done.set()
    assert (handover.is_worker_missed(0), handover.is_worker_missed(1)) == (False, True)


def test_a_proxy_that_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first worker is gone, and the process that all know is not: then nobody waits for the new one."""
    monkeypatch.setattr(handover_module, "GONE_SECONDS", 0.15)
    own_end, other_end = socket.socketpair()
    with own_end:
        alive, gone = (Predecessor(pid, own_end, [], []) for pid in (os.getpid(), 2**22 + 1))
        assert not uvloop.run(alive.serves_on())
        other_end.close()
        assert uvloop.run(alive.serves_on())
        assert not uvloop.run(gone.serves_on())
