"""What a parent tells its workers of a reload, so that all of them take a configuration over, or none.

    parent ── PREPARE, the configuration, claims ──► each worker      makes and binds all that is new
           ◄── [], or why not ──────────────────────                  the parent waits for all
           ── APPLY ─────────────────────────────────►                all have it; or
           ── REJECT ────────────────────────────────►                nothing has been changed
           ◄── whether it was taken over ───────────                  to APPLY alone

Answers have the number of their order: one that comes too late is nobody's.
"""

import socket
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle

from kidoproxy.config import Config
from kidoproxy.net.address_claims import BindAddress


class Step(IntEnum):
    """Of a reload."""

    PREPARE = 1
    APPLY = 2
    REJECT = 3


@dataclass(frozen=True)
class Order:
    """``given_up``: where this proxy listens no more, when the step is done."""

    number: int
    step: Step
    config: Config | None = None
    claim_count: int = 0
    given_up: tuple[BindAddress, ...] = ()


@dataclass(frozen=True)
class Answer:
    """To the order of this number; ``problems`` say why it cannot be done."""

    number: int
    problems: tuple[str, ...] = ()


def send_order(pipe: Connection, order: Order, claims: list[socket.socket], pid: int) -> None:
    """``claims`` go with it: whoever replaces a worker, or the whole proxy, needs all of them. OSError: it is gone."""
    pipe.send(order)
    for sock in claims:
        send_handle(pipe, sock.fileno(), pid)


def receive_order(pipe: Connection) -> tuple[Order, list[socket.socket]]:
    """One order, and the claims that go with it. OSError and EOFError: the parent is gone."""
    order: Order = pipe.recv()
    return order, [socket.socket(fileno=recv_handle(pipe)) for _ in range(order.claim_count)]


def receive_answer(pipe: Connection, number: int, seconds: float) -> Answer | None:
    """The answer to this order; None: not in time. OSError and EOFError: the worker is gone."""
    while pipe.poll(seconds):
        answer: Answer = pipe.recv()
        if answer.number == number:
            return answer
    return None
