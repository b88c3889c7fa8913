"""Runs a reader over chunks of bytes: the frames that come out, and the error that ended it."""

from collections.abc import Iterable
from typing import NamedTuple

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits


class Outcome(NamedTuple):
    """What came out, and the text of the error that ended it, empty if none did."""

    frames: list[bytes]
    error: str
    argvs: list[list[bytes]]


def byte_by_byte(data: bytes) -> list[bytes]:
    """One byte at a time; the middle of long data in larger pieces, to save time."""
    if len(data) <= 2000:
        return [data[pos : pos + 1] for pos in range(len(data))]
    middle = data[1000:-1000]
    pieces = [middle[pos : pos + 1000] for pos in range(0, len(middle), 1000)]
    return byte_by_byte(data[:1000]) + pieces + byte_by_byte(data[-1000:])


def chunkings(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, in two unequal parts."""
    return [[data], byte_by_byte(data), [data[: len(data) // 3], data[len(data) // 3 :]]]


def read_requests(chunks: Iterable[bytes], limits: RequestLimits | None = None) -> Outcome:
    """All requests in these chunks, read after each chunk."""
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
        return Outcome(frames, str(error), argvs)
    return Outcome(frames, "", argvs)


def read_replies(chunks: Iterable[bytes]) -> Outcome:
    """All raw replies in these chunks, read after each chunk."""
    reader = ReplyReader()
    frames: list[bytes] = []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (raw := reader.next()) is not None:
                frames.append(raw)
    except ProtocolError as error:
        return Outcome(frames, str(error), [])
    return Outcome(frames, "", [])
