"""XCLAIM and XAUTOCLAIM, told to copies that have not decided them.

Who has been idle for how long depends on each node's clock, so only one node may look at that. The others are told to
claim the same entries whatever their idle time, for the moment at which the leader did. Delivery counts agree because
they do so before, and both count alike. What is not in the stream any more leaves the list of pending entries: XCLAIM
does that for all entries that it names, claimed or not; XAUTOCLAIM says which they were.
"""

import re
from typing import Final

from kidoproxy.resp.decode import first_bulks, is_null, items, string_value
from kidoproxy.resp.encode import integer
from kidoproxy.resp.scan import parse_int64

STREAM_ID: Final = re.compile(rb"[0-9]+(-[0-9]+)?")
#: Longer than any entry can have been idle, so that none is claimed.
NEVER_IDLE: Final = b"9223372036854775807"
#: Behind all entries: a walk from here claims none and clears none away.
LAST_ID: Final = b"18446744073709551615-18446744073709551615"
#: Key, group, consumer and idle time stand before the ids.
FIRST_ID: Final = 5

#: A request, and the reply that it should give (empty: any that is no error).
ClaimRequest = tuple[list[bytes], bytes]


def claim_requests(argv: list[bytes], reply: bytes, now_ms: int) -> list[ClaimRequest]:
    """What the others are sent for a request of which the leader has made ``reply`` at ``now_ms`` by its clock."""
    if argv[0].lower() == b"xclaim":
        return xclaim_requests(argv, reply, now_ms)
    parts = items(reply)
    just_ids = any(word.lower() == b"justid" for word in argv[6:])
    requests: list[ClaimRequest] = []
    claimed = claimed_ids(parts[1])
    if claimed:
        options = [b"TIME", b"%d" % now_ms, b"FORCE", *([b"JUSTID"] if just_ids else [])]
        requests.append(([b"XCLAIM", *argv[1:4], b"0", *claimed, *options], parts[1]))
    else:
        # Whether it makes the consumer depends on the server's version.
        requests.append(([*argv[:4], NEVER_IDLE, LAST_ID, b"COUNT", b"1", b"JUSTID"], b""))
    deleted = claimed_ids(parts[2]) if len(parts) > 2 else []
    if deleted:
        requests.append(([b"XACK", argv[1], argv[2], *deleted], integer(len(deleted))))
    return requests


def xclaim_requests(argv: list[bytes], reply: bytes, now_ms: int) -> list[ClaimRequest]:
    """One request for what was claimed, one for what was not but may have been cleared away."""
    end = FIRST_ID
    while end < len(argv) and STREAM_ID.fullmatch(argv[end]) is not None:
        end += 1
    time_ms, options = claim_options(argv[end:], now_ms)
    claimed = claimed_ids(reply)
    requests: list[ClaimRequest] = []
    if claimed:
        requests.append(([b"XCLAIM", *argv[1:4], b"0", *claimed, b"TIME", b"%d" % time_ms, b"FORCE", *options], reply))
    others = [word for word in argv[FIRST_ID:end] if full_id(word) not in claimed]
    if others:
        last_id = options[options.index(b"LASTID") :][:2] if b"LASTID" in options else []
        requests.append(([b"XCLAIM", *argv[1:4], NEVER_IDLE, *others, b"JUSTID", *last_id], b""))
    return requests


def claim_options(words: list[bytes], now_ms: int) -> tuple[int, list[bytes]]:
    """The moment from which the claimed entries are idle, and the options that are passed on."""
    time_ms = now_ms
    options: list[bytes] = []
    # No server takes an option without its value.
    words = [*words, b""]
    at = 0
    while at < len(words) - 1:
        word = words[at].upper()
        if word == b"JUSTID":
            options.append(word)
        elif word in (b"RETRYCOUNT", b"LASTID"):
            options += [word, words[at + 1]]
        elif word == b"IDLE":
            time_ms = now_ms - (parse_int64(words[at + 1]) or 0)
        elif word == b"TIME":
            time_ms = parse_int64(words[at + 1]) or 0
        at += 1 if word in (b"JUSTID", b"FORCE") else 2
    return time_ms, options


def claimed_ids(raw: bytes) -> list[bytes]:
    """The ids in an array of ids or of entries; up to Redis 6.2 a deleted entry is null, and has none."""
    return [entry_id(item) for item in items(raw) if not is_null(item)]


def entry_id(item: bytes) -> bytes:
    """The id of an entry with its fields, or an id itself."""
    return first_bulks(item, 1)[0] if item[:1] == b"*" else string_value(item)


def full_id(word: bytes) -> bytes:
    """An id as replies have it: with its sequence number."""
    number, _, sequence = word.partition(b"-")
    return b"%d-%d" % (int(number), int(sequence or b"0"))
