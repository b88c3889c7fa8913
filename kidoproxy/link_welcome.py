"""What follows from a node's greeting: is it the same run as before, what must it be taught, who may go on."""

from typing import TYPE_CHECKING

from kidoproxy.errors import NODEDOWN
from kidoproxy.link_greeting import parse_info, text_of
from kidoproxy.link_guard import fail_all
from kidoproxy.link_school import go_to_school

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink


def welcome(link: "NodeLink", info: bytes) -> None:
    """The node has answered the whole greeting; ``info`` is its last reply."""
    node = link.node
    link.probing = False
    if not link.shared:
        # What is not shared does not stand for its node: shared links must not find a restart noticed already.
        link.client_id = info[1:-2] if info[:1] == b":" else b""
        link.open_up()
        return
    facts = parse_info(text_of(info))
    if node.is_double(facts):
        link.broken = node.cause
        return
    group = node.group
    if node.meet(facts) and group is not None and not group.restarted(node):
        turn_away(link)
    go_to_school(link)


def turn_away(link: "NodeLink") -> None:
    """What waited for this node was meant for the data that it had: reads are asked elsewhere, writes missed."""
    fail_all(link, link.take_queue(), link.failure(NODEDOWN, "it was restarted", False))
