"""XREAD and XREADGROUP over streams on several children: one request for each child, with its keys and their ids."""

from kidoproxy.commands.keys import stream_option
from kidoproxy.commands.spec import MERGE_STREAMS
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import Gather, Plan


def split_by_child(argv: list[bytes], positions: list[int], owners: list[int]) -> list[tuple[int, Request]]:
    """The children concerned, in the order of their first keys, each with its request.

    ``owners[i]`` is the child of the key at ``positions[i]``, whose id stands ``len(positions)`` words further.
    """
    head = argv[: stream_option(argv) + 1]
    count = len(positions)
    parts: list[tuple[int, Request]] = []
    for child in dict.fromkeys(owners):
        own_positions = [at for at, owner in zip(positions, owners, strict=True) if owner == child]
        words = head + [argv[at] for at in own_positions] + [argv[at + count] for at in own_positions]
        parts.append((child, Request(words, encode_request(words))))
    return parts


def gather_streams(
    argv: list[bytes], positions: list[int], parts: list[tuple[int, Request]], plans: list[Plan]
) -> Gather:
    """The plan of the whole, given those of the parts; the replies are put into the order of the keys."""
    return Gather(
        plans, MERGE_STREAMS, [request.raw for _, request in parts], stream_names=[argv[at] for at in positions]
    )
