"""A step of SCAN over several nodes: one after another, without memory in the proxy.

The cursor that the client gets has the node's own cursor and the node's number, which comes from pool and name alone;
see `kidoproxy.replies.cursor`. When a node has no more, the cursor names the next one, which begins at 0.
"""

from kidoproxy.commands.spec import MERGE_INFO
from kidoproxy.replies import cursor
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import DirectReply, Gather, Plan, ScanStep, Send
from kidoproxy.routes.route import Route


def scan_plan(scan_routes: list[Route], request: Request) -> Plan:
    """A step of SCAN over ``scan_routes``, one after another; the cursor says which one, and its own cursor there."""
    argv = request.argv
    found = cursor.unpack(argv[1])
    if found is None:
        return DirectReply(errors.INVALID_CURSOR)
    node_cursor, cursor_id = found
    at = 0
    node = scan_routes[0].scan_node(cursor_id)
    if cursor_id:
        while node is None:
            at += 1
            if at == len(scan_routes):
                return DirectReply(errors.INVALID_CURSOR)
            node = scan_routes[at].scan_node(cursor_id)
    if node is None:
        return DirectReply(errors.NO_COPY_IN_SYNC)
    next_cursor_id = 0
    if at + 1 < len(scan_routes):
        next_node = scan_routes[at + 1].scan_node(0)
        if next_node is None:
            return DirectReply(errors.NO_COPY_IN_SYNC)
        next_cursor_id = next_node.cursor_id
    send = Send(node, encode_request([argv[0], b"%d" % node_cursor, *argv[2:]]))
    return Gather([send], MERGE_INFO, scan_step=ScanStep(node.cursor_id, next_cursor_id))
