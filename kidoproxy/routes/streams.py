"""XREAD and XREADGROUP over streams on several children: one request for each child, with its keys and their ids."""

from kidoproxy.commands.keys import stream_word
from kidoproxy.commands.spec import STREAMS
from kidoproxy.resp.build import command
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Gather


def cut(argv: list[bytes], positions: list[int], owners: list[int]) -> list[tuple[int, Request]]:
    """The children concerned, in the order of their first keys, each with its request.

    ``owners[i]`` is the child of the key at ``positions[i]``; as many words further stands its id.
    """
    head = argv[: stream_word(argv) + 1]
    count = len(positions)
    parts: list[tuple[int, Request]] = []
    for child in dict.fromkeys(owners):
        mine = [at for at, owner in zip(positions, owners, strict=True) if owner == child]
        words = head + [argv[at] for at in mine] + [argv[at + count] for at in mine]
        parts.append((child, Request(words, command(words))))
    return parts


def gather(argv: list[bytes], positions: list[int], parts: list[tuple[int, Request]]) -> Gather:
    """The plan for these parts, without their own plans yet; what comes is put into the order of the keys."""
    found = Gather([], STREAMS)
    found.raws = [request.raw for _, request in parts]
    found.names = [argv[at] for at in positions]
    return found
