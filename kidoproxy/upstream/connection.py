"""A connection to one node: the n-th reply is for the n-th request, or all that wait fail.

This file has what every reply comes by, and puts together what the files around it say: sending (`sending`), the
handshake (`identity`), deadlines (`deadlines`), partial replies (`partial_replies`), the end (`disconnect`). The
states and their moves are in `kidoproxy.upstream.states`, the fields in `kidoproxy.upstream.connection_state`.
"""

from typing import final

from kidoproxy.replication.group import group_of
from kidoproxy.replies.handler import REPEAT_REFUSED, ReplyHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.node_errors import NodeErrorReply
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.resp.scan import GREATER, MINUS
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.deadlines import check_deadlines, on_timely_reply
from kidoproxy.upstream.disconnect import lose_connection, on_early_data, on_unsolicited_reply
from kidoproxy.upstream.failures import on_handler_exception
from kidoproxy.upstream.handshake import ConnectionOptions, handshake_requests
from kidoproxy.upstream.identity import Handshake
from kidoproxy.upstream.partial_replies import on_partial_reply
from kidoproxy.upstream.refused_writes import keep_read_behind, keep_refused
from kidoproxy.upstream.sending import SendingConnection
from kidoproxy.upstream.slow_requests import on_silence_over, on_waited
from kidoproxy.upstream.states import HANDSHAKING, RECONNECT_PENDING


@final
class NodeConnection(SendingConnection):
    """See the module. Whoever owns the socket calls `on_connected`, `feed`, `take_output`, `on_connection_lost`.

    Of that owner it asks by standing in ``dirty_connections``: to write, to open a socket (the state is *connecting*)
    or to close one (``must_close``).
    """

    def __init__(
        self, node: Node, options: ConnectionOptions, proto: int, db: int, dirty_connections: "list[NodeConnection]"
    ) -> None:
        super().__init__(node, options, proto, db)
        self.dirty_connections = dirty_connections

    def schedule_flush(self) -> None:
        """Ask to be looked after at the end of this turn: bytes to write, a socket to open or to close."""
        if not self.flush_scheduled:
            self.flush_scheduled = True
            self.dirty_connections.append(self)

    def on_connected(self, now: float, handshake_timeout: float) -> None:
        """The socket is there: send the handshake, and wait that many seconds for its replies."""
        self.move_to(HANDSHAKING)
        self.reader = ReplyReader()
        self.loaded_scripts = {}
        self.kept_scripts = {}
        self.may_send_digests = True
        self.proto = self.base_proto
        self.db = self.base_db
        self.last_read_at = now
        self.partial_serial = 0
        self.role_changes_seen = self.node.role_changes
        self.remove_condition(RECONNECT_PENDING)
        self.write_grace_until = 0.0
        self.write_progress_until = 0.0
        self.handshake_deadline = now + handshake_timeout
        group = group_of(self.node)
        ownership = group.ownership if group is not None and self.shared else None
        self.announced_name = ownership.connection_name() if ownership is not None else b""
        # Kept until the next one: what a node says of this login is shown without its password.
        self.login = self.options.login
        requests = handshake_requests(
            self.login,
            self.base_proto,
            self.base_db,
            self.dedicated,
            self.node.has_ordered_connection,
            self.announced_name,
            self.node.master_view is not None,
        )
        payload = b"".join([encode_request(argv) for argv in requests])
        self.append(Handshake(self, requests), payload, len(requests))
        self.schedule_flush()

    def on_early_data(self, data: bytes, now: float) -> None:
        """Bytes that came before the handshake was sent."""
        on_early_data(self, data, now)

    def on_connection_lost(self, cause: str, now: float, back_off: bool) -> None:
        """The socket is gone, or cannot be had; ``back_off``: do not try again at once."""
        lose_connection(self, cause, now, back_off)

    def tick(self, now: float) -> None:
        """Called some twenty times a second: deadlines, silence, the next attempt."""
        check_deadlines(self, now)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes from the node: hand each reply to its handler."""
        self.on_read(len(data), now)
        reader = self.reader
        reader.feed(data)
        head_before = self.head
        has_sentinels = self.node.master_view is not None
        handler: ReplyHandler | None = None
        while True:
            try:
                while True:
                    raw = reader.next()
                    if raw is None:
                        break
                    first = raw[0]
                    if first == GREATER and not reader.is_tail:
                        handler = None
                        if self.push_handler is not None:
                            self.push_handler.on_push(raw)
                        continue
                    if self.head >= len(self.reply_handlers):
                        handler = None
                        if self.push_handler is not None:
                            self.push_handler.on_push(raw)
                            continue
                        on_unsolicited_reply(self, now)
                        return
                    handler = self.reply_handlers[self.head]
                    self.head += 1
                    if first == MINUS and not reader.is_tail:
                        self.node.on_error_reply(raw, now)
                        if has_sentinels and keep_refused(self, handler, raw, now):
                            continue
                        raw = NodeErrorReply(raw)
                    if self.refused and keep_read_behind(self, handler, raw):
                        continue
                    if not handler.is_answered:
                        handler.on_reply(raw)
                        if has_sentinels and handler.retries_left == REPEAT_REFUSED:
                            # The connection may know an answered handler for a while.
                            handler.payload = None
                    if self.fatal_error:
                        break
                break
            except Exception as problem:
                if reader.protocol_error:
                    lose_connection(self, f"it does not speak the Redis protocol: {problem}", now, True)
                    return
                on_handler_exception(self, handler, problem)
                if self.fatal_error:
                    break
        if self.fatal_error:
            # The handshake or a switch was refused: nobody is made to wait for another attempt.
            lose_connection(self, self.fatal_error, now, True)
            return
        self.on_replies_taken(head_before, handler, now)
        if reader.partial_type():
            on_partial_reply(self, reader, now)
        if self.queue and self.can_send:
            self.release_queue(now)

    def on_read(self, size: int, now: float) -> None:
        """The node has said something."""
        self.node.traffic.bytes_received += size
        if now - self.last_read_at >= self.node.slow_log.threshold:
            on_silence_over(self, now)
        self.last_read_at = now

    def on_replies_taken(self, head_before: int, handler: ReplyHandler | None, now: float) -> None:
        """All whole replies of a read have been taken, the last one by ``handler``."""
        if self.head > head_before:
            self.replies_received += self.head - head_before
            if self.late_since and handler is not None and not handler.is_answered:
                on_timely_reply(self, now)
            if handler is not None and now + self.options.timeout - handler.due >= self.node.slow_log.threshold:
                on_waited(self, handler, now)
        self.compact()
