"""Replies as Python objects, by hiredis: what a client's library would make of them."""

from typing import Any

import hiredis


def decode(raw: bytes) -> Any:
    """The value of one whole reply; an error is an object, not raised."""
    reader = hiredis.Reader(notEnoughData=Ellipsis)
    reader.feed(raw)
    return reader.gets()
