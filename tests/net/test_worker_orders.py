"""Orders and answers between a parent and its workers."""

import os
import socket
from multiprocessing import Pipe

import pytest

from kidoproxy.net.address_claims import BindAddress
from kidoproxy.net.worker_orders import Answer, Order, Step, receive_answer, receive_order, send_order


def test_an_order_with_claims() -> None:
    """The sockets arrive with it, and are the same; the next order follows."""
    parent, worker = Pipe()
    claims = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for at, claim in enumerate(claims):
        claim.bind(f"\0kidoproxy-test {os.getpid()} {at}")
    order = Order(1, Step.PREPARE, None, 3, (BindAddress("tcp/1", "::1"),))
    send_order(parent, order, claims, os.getpid())
    send_order(parent, Order(2, Step.APPLY), [], os.getpid())
    received, sockets = receive_order(worker)
    assert received == order
    assert [sock.getsockname() for sock in sockets] == [sock.getsockname() for sock in claims]
    assert receive_order(worker) == (Order(2, Step.APPLY), [])
    for sock in claims + sockets:
        sock.close()
    parent.close()
    worker.close()
    with pytest.raises(OSError, match="closed"):
        receive_order(worker)


def test_answers() -> None:
    """One that came too late is passed over; a worker that has gone, or is silent, is told apart."""
    parent, worker = Pipe()
    worker.send(Answer(1, ("late",)))
    worker.send(Answer(2))
    assert receive_answer(parent, 2, 20) == Answer(2)
    assert receive_answer(parent, 3, 0) is None
    worker.close()
    with pytest.raises(EOFError):
        receive_answer(parent, 3, 20)
    parent.close()
