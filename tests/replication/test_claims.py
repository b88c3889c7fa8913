"""XCLAIM and XAUTOCLAIM for the copies that did not decide them."""

import pytest

from kidoproxy.replication.claims import LAST_ID, NEVER_IDLE, claim_requests
from tests.story.frames import frame

NEVER, LAST = NEVER_IDLE.decode(), LAST_ID.decode()


@pytest.mark.parametrize(
    ("request_text", "reply", "told"),
    [
        (
            "XCLAIM x g c 5 1-1 2 3-3",
            "*1 *2 $3 2-0 *2 $1 f $1 v",
            ["XCLAIM x g c 0 2-0 TIME 9000 FORCE", f"XCLAIM x g c {NEVER} 1-1 3-3 JUSTID"],
        ),
        ("xclaim x g c 5 1-1 justid idle 400", "*1 $3 1-1", ["XCLAIM x g c 0 1-1 TIME 8600 FORCE JUSTID"]),
        (
            "XCLAIM x g c 5 1-1 2-2 FORCE TIME 77 RETRYCOUNT 3 LASTID 9-9",
            "*1 *2 $3 1-1 *0",
            [
                "XCLAIM x g c 0 1-1 TIME 77 FORCE RETRYCOUNT 3 LASTID 9-9",
                f"XCLAIM x g c {NEVER} 2-2 JUSTID LASTID 9-9",
            ],
        ),
        ("XCLAIM x g c 5 1-1", "*0", [f"XCLAIM x g c {NEVER} 1-1 JUSTID"]),
        ("XCLAIM x g c 5 1-1 IDLE", "*0", [f"XCLAIM x g c {NEVER} 1-1 JUSTID"]),
        (
            "XAUTOCLAIM x g c 5 0",
            "*3 $3 0-0 *1 *2 $3 1-1 *0 *2 $3 2-2 $3 3-3",
            ["XCLAIM x g c 0 1-1 TIME 9000 FORCE", "XACK x g 2-2 3-3"],
        ),
        (
            "XAUTOCLAIM x g c 5 0 COUNT 2 JUSTID",
            "*3 $3 0-0 *1 $3 1-1 *0",
            ["XCLAIM x g c 0 1-1 TIME 9000 FORCE JUSTID"],
        ),
        ("XAUTOCLAIM x g c 5 0", "*2 $3 0-0 *0", [f"XAUTOCLAIM x g c {NEVER} {LAST} COUNT 1 JUSTID"]),
        ("XAUTOCLAIM x g c 5 0", "*2 $3 0-0 *2 $-1 *2 $3 4-4 *0", ["XCLAIM x g c 0 4-4 TIME 9000 FORCE"]),
    ],
)
def test_claims(request_text: str, reply: str, told: list[str]) -> None:
    """Who was claimed is claimed for the same moment; who was not is looked at all the same, for it may be gone."""
    argv = [word.encode() for word in request_text.split()]
    found = claim_requests(argv, frame(reply), 9000)
    assert [b" ".join(request).decode() for request, _ in found] == told


def test_expected_replies() -> None:
    """The same entries, and as many acknowledged as were gone."""
    reply = frame("*3 $3 0-0 *1 *2 $3 1-1 *0 *1 $3 2-2")
    found = claim_requests([b"XAUTOCLAIM", b"x", b"g", b"c", b"5", b"0"], reply, 9000)
    assert [expected for _, expected in found] == [frame("*1 *2 $3 1-1 *0"), b":1\r\n"]
    assert claim_requests([b"XCLAIM", b"x", b"g", b"c", b"5", b"1"], frame("*1 $3 1-0"), 9)[0][1] == frame("*1 $3 1-0")
