"""Cutting one request by child: MGET, MSET, DEL, UNLINK, EXISTS and TOUCH become one request per child."""

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request


def cut(
    spec: CommandSpec, request: Request, owners: list[int], count: int
) -> tuple[list[int], list[Request], list[list[int]]]:
    """The children concerned, each one's request, and the positions of its keys among all keys.

    ``owners[i]`` is the child of the i-th key, of ``count`` children. The command has the form
    ``NAME (key [value …])+``, with ``spec.step`` words from one key to the next.
    """
    argv = request.argv
    step = spec.step
    words: list[list[bytes] | None] = [None] * count
    places: list[list[int]] = [[] for _ in range(count)]
    at = 1
    for position, owner in enumerate(owners):
        part = words[owner]
        if part is None:
            part = [argv[0]]
            words[owner] = part
        part.extend(argv[at : at + step])
        places[owner].append(position)
        at += step
    children = [child for child in range(count) if places[child]]
    requests: list[Request] = []
    for child in children:
        part = words[child]
        if part is not None:
            requests.append(Request(part, command(part)))
    return children, requests, [places[child] for child in children]
