"""Readers run to their end: everything that they cut, and how it ended."""

from collections.abc import Iterable
from typing import NamedTuple

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.resp.requests import RequestLimits, RequestReader


class Cut(NamedTuple):
    """What came out, and the sentence of the error that ended it: empty if none did."""

    frames: list[bytes]
    error: str
    argvs: list[list[bytes]]


def bytewise(data: bytes) -> list[bytes]:
    """The worst network: one byte at a time; the middle of long data in larger pieces, to save the test's time."""
    if len(data) <= 2000:
        return [data[at : at + 1] for at in range(len(data))]
    middle = data[1000:-1000]
    pieces = [middle[at : at + 1000] for at in range(0, len(middle), 1000)]
    return bytewise(data[:1000]) + pieces + bytewise(data[-1000:])


def ways(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, in two unequal parts."""
    return [[data], bytewise(data), [data[: len(data) // 3], data[len(data) // 3 :]]]


def cut_requests(chunks: Iterable[bytes], limits: RequestLimits | None = None) -> Cut:
    """All requests of these chunks, read as they come."""
    reader = RequestReader(limits or RequestLimits())
    frames: list[bytes] = []
    argvs: list[list[bytes]] = []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (request := reader.next()) is not None:
                frames.append(request.raw)
                argvs.append(request.argv)
    except ProtocolError as error:
        return Cut(frames, str(error), argvs)
    return Cut(frames, "", argvs)


def cut_replies(chunks: Iterable[bytes]) -> Cut:
    """All raw replies of these chunks, read as they come."""
    reader = ReplyReader()
    frames: list[bytes] = []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (raw := reader.next()) is not None:
                frames.append(raw)
    except ProtocolError as error:
        return Cut(frames, str(error), [])
    return Cut(frames, "", [])
