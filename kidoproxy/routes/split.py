"""Cutting one request by child: MGET, MSET, DEL, UNLINK, EXISTS and TOUCH become one request per child."""

from typing import final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request


@final
class Cut:
    """The parts of one request: ``children[i]`` gets ``requests[i]``, about the keys at ``places[i]``."""

    def __init__(self) -> None:
        self.children: list[int] = []
        self.requests: list[Request] = []
        self.places: list[list[int]] = []


def cut(spec: CommandSpec, argv: list[bytes], owners: list[int], count: int) -> Cut:
    """Cut by child: ``owners[i]`` is the child of the i-th key, of ``count`` children.

    The command has the form ``NAME (key [value …])+``, with ``spec.step`` words from one key to the next.
    """
    step = spec.step
    words: list[list[bytes] | None] = [None] * count
    where: list[list[int]] = [[] for _ in range(count)]
    at = 1
    for position, owner in enumerate(owners):
        part = words[owner]
        if part is None:
            part = [argv[0]]
            words[owner] = part
        part.append(argv[at])
        if step == 2:
            part.append(argv[at + 1])
        where[owner].append(position)
        at += step
    found = Cut()
    for child in range(count):
        part = words[child]
        if part is not None:
            found.children.append(child)
            found.requests.append(Request(part, command(part)))
            found.places.append(where[child])
    return found
