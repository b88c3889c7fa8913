"""A reply that has arrived in part: how long it may take, how large it may become, and what may leave ahead of its end.

A node that sends on has time for it: as much as a slow network needs for what has come. What is never whole must
end all the same, for everything behind it waits, and what no client can be given yet is held here.
"""

from typing import TYPE_CHECKING

from kidoproxy import limits
from kidoproxy.errors import OVERLOADED
from kidoproxy.ledger import ONCE
from kidoproxy.link_guard import fail
from kidoproxy.resp.replies import ReplyReader

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink

PUSH = 62


def arrived(link: "NodeLink", reader: ReplyReader, now: float) -> None:
    """The last bytes ended inside a reply: pass on what can be, and see that it stays within its bounds."""
    if reader.serial != link.part:
        link.part = reader.serial
        link.part_since = now
        link.part_passed = 0
    if link.head < len(link.fifo) and reader.held() >= limits.CUT_THROUGH_BYTES and reader.kind() != PUSH:
        cut(link, now)
    if reader.held() > link.login.queue_bytes:
        too_long(link, link.login.queue_bytes, now)
    elif link.part_passed > limits.PASSED_BYTES:
        too_long(link, limits.PASSED_BYTES, now)


def cut(link: "NodeLink", now: float) -> None:
    """Let what is there of a large reply go on when it is its client's turn; it has more time while it comes."""
    leg = link.fifo[link.head]
    leg.due = max(leg.due, min(now + link.login.timeout, patience(link)))
    if leg.done:
        link.part_passed += link.reader.pass_over()
    elif leg.can_cut():
        piece = link.reader.take()
        link.part_passed += len(piece)
        leg.cut(piece)
    elif link.reader.held() > link.login.queue_bytes:
        # Nobody can be given it in part, and no more of it is held: what is left of it is passed over.
        link.node.trouble("reply too long")
        failure = link.failure(OVERLOADED, f"its reply is larger than {link.login.queue_bytes >> 20} MiB", True)
        fail(link, leg, failure)
        link.part_passed += link.reader.pass_over()


def patience(link: "NodeLink") -> float:
    """When the unfinished reply must be whole, by what has come of it."""
    size = link.part_passed + link.reader.held()
    passes = link.part_passed and link.head < len(link.fifo) and not link.fifo[link.head].done
    most = limits.PASSED_SECONDS if passes else limits.REPLY_SECONDS
    return link.part_since + link.login.timeout + min(size / limits.SLOWEST_BYTES_PER_SECOND, most)


def overdue(link: "NodeLink", now: float) -> bool:
    """Whether a reply has begun and does not end, however busily the node sends it."""
    return link.reader.kind() != 0 and now > patience(link) + link.login.timeout


def too_long(link: "NodeLink", size: int, now: float) -> None:
    """Nobody waits for the end of that; asked once more it would come again."""
    link.node.trouble("reply too long")
    if link.head < len(link.fifo):
        link.fifo[link.head].tries = ONCE
    link.lost(f"its reply is larger than {size >> 20} MiB", now, False)
