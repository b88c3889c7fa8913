"""What follows from a node's greeting: is it the same run as before, what must it be taught, who may go on."""

from typing import TYPE_CHECKING

from kidoproxy.errors import NODEDOWN, ProtocolError, said
from kidoproxy.ledger import Leg
from kidoproxy.link_databases import refuse_if_beyond
from kidoproxy.link_greeting import OUT_OF_STEP, Greeting, Introduction, explained
from kidoproxy.link_guard import fail_all
from kidoproxy.link_school import go_to_school
from kidoproxy.resp.open import error_text, is_error
from kidoproxy.resp.replies import ReplyReader

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink


def welcome(link: "NodeLink", found: Introduction) -> None:
    """The node has answered the whole greeting."""
    node = link.node
    if found.resp3 is not None:
        node.resp3 = found.resp3
    why = found.refused
    if found.mute and node.group is not None and link.shared:
        # Without a run id nobody would notice that a copy was restarted, and may have lost what it had.
        why = why or found.mute
    if why:
        link.broken = explained(link.login.without_secrets(why))
        refuse_if_beyond(link, why)
        return
    link.probing = False
    if not link.shared:
        # What is not shared does not stand for its node: shared links must not find a restart noticed already.
        link.client_id = found.client_id
        link.open_up()
        return
    if node.is_double(found.facts):
        link.broken = node.cause
        return
    group = node.group
    if node.meet(found.facts) and group is not None and not group.restarted(node):
        turn_away(link)
    go_to_school(link)


def spoke_first(link: "NodeLink", data: bytes, now: float) -> None:
    """It has said something before we did: an error says why it will not have us, anything else is no Redis's."""
    reader = ReplyReader()
    reader.feed(data)
    try:
        raw = reader.next()
    except ProtocolError as problem:
        link.lost(f"it does not speak the Redis protocol: {problem}", now, True)
        return
    known = raw is not None and is_error(raw)
    link.node.trouble("spoke first")
    link.lost(explained(said(error_text(raw) if raw is not None and known else OUT_OF_STEP)), now, True)


def last_words(link: "NodeLink", waiting: list[Leg], cause: str) -> str:
    """Why a connection was lost, in the node's own words if it had any."""
    greeting = waiting[0] if waiting else None
    text = greeting.last_words() if isinstance(greeting, Greeting) else b""
    return explained(link.login.without_secrets(text)) if text else cause


def turn_away(link: "NodeLink") -> None:
    """What waited for this node was meant for the data that it had: reads are asked elsewhere, writes missed."""
    fail_all(link, link.take_queue(), link.failure(NODEDOWN, "it was restarted", False))
