"""The state of one client's session.

The lowest of three classes, so that whatever looks at sessions (accounting, `ProxyState`, CLIENT LIST) needs no more:

    SessionState    the fields                                      here
    Session         + the proxy, and what handlers do with them     `kidoproxy.session.base`
    ClientSession   + the dispatcher, which knows all handlers      `kidoproxy.session.session`
"""

from typing import Final

from kidoproxy.commands.acl import AclCheck
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.resp.request_reader import Request, RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.session.mode import CLOSING, MODE_NAMES, MOVES, PAUSED, READY
from kidoproxy.session.multi_state import MultiState
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.pubsub.publish_order import HeldPublish
from kidoproxy.session.pubsub.topics import Subscriber
from kidoproxy.session.watches import Watch
from kidoproxy.upstream.dedicated import DedicatedExecutor

#: CLIENT REPLY: answer everything, nothing, or not the next one.
REPLY_ON: Final = 0
REPLY_OFF: Final = 1
REPLY_SKIP: Final = 2


class MonitorStream:
    """A running MONITOR. ``handler`` gets its reply, and is None once it has been given."""

    def __init__(self, handler: ReplyHandler) -> None:
        self.handler: ReplyHandler | None = handler

    def attach_missing(self) -> None:
        """Send MONITOR to each node that has no connection for it."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close its connections."""
        raise NotImplementedError


class SessionState:
    """``address`` and ``local_address`` are for CLIENT LIST. Only files in ``kidoproxy/session`` write these fields."""

    def __init__(
        self,
        client_id: int,
        context: PoolContext,
        replies: ReplyQueue,
        address: str,
        local_address: str,
        clock: WallClock,
    ) -> None:
        self.id = client_id
        self.context = context
        self.replies = replies
        self.address = address
        self.local_address = local_address
        self.request_limits = RequestLimits()
        self.reader = RequestReader(self.request_limits)
        self.proto = 2
        self.db = 0
        self.request_context = RequestContext(0, 2, False, False, clock, context.script_registry)
        self.user = context.users.default
        self.authed = self.user.needs_no_login
        self.multi: MultiState | None = None
        #: How many of the bytes that came have been counted as requests.
        self.accounted_bytes = 0
        self.reply_mode = REPLY_ON
        self.each_node = False
        #: Not logged in, or as a user with restrictions: each request is checked against them.
        self.needs_acl = False
        #: Nothing is unusual, so requests with one key need no further checks.
        self.fast_path = False
        #: Whether it handles requests (`kidoproxy.session.mode`), and the request that is handled first afterwards.
        self.mode: int = READY
        self.suspended_request: Request | None = None
        #: It has had its share of this turn (`kidoproxy.session.slices`); units of work beside the requests.
        self.resume_job: Job | None = None
        self.extra_units = 0
        #: A job that runs before its next request is handled, in slices; a finished check against its user's rules.
        self.current_job: Job | None = None
        self.acl_check: AclCheck | None = None
        #: The blocking request on dedicated connections; the keys of WATCH; the running MONITOR.
        self.blocking_executor: DedicatedExecutor | None = None
        self.watch: Watch | None = None
        self.monitor: MonitorStream | None = None
        #: The client sends nothing more; its complete requests still run, and open replies are still sent.
        self.half_closed = False
        #: Made with the first subscription.
        self.subscriber: Subscriber | None = None
        #: It is being resumed, when all that came in a turn is read; its ``suspended_request`` waits for subscriptions.
        self.resuming = False
        self.held_publish: HeldPublish | None = None
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.no_evict = False
        self.no_touch = False
        self.last_command = b"NULL"
        self.created_ms = clock.ms
        self.last_active_ms = clock.ms
        self.commands_processed = 0

    @property
    def closing(self) -> bool:
        """Whether nothing more is read from it."""
        return self.mode == CLOSING

    def enter(self, mode: int) -> None:
        """The next mode; RuntimeError if `MOVES` does not have that move. A closing session stays closing."""
        if mode not in MOVES[self.mode]:
            if self.mode == CLOSING:
                return
            raise RuntimeError(f"a session that is {MODE_NAMES[self.mode]} cannot become {MODE_NAMES[mode]}")
        self.mode = mode

    def is_blocked(self) -> bool:
        """Whether it waits in a command that its node has, or for the end of CLIENT PAUSE."""
        blocking_executor = self.blocking_executor
        return (blocking_executor is not None and blocking_executor.is_sent()) or self.mode == PAUSED

    def awaits_confirmation(self) -> bool:
        """Whether nodes have not confirmed all that it has subscribed to or left."""
        return self.subscriber is not None and len(self.subscriber.requests) > 0

    def is_subscriber(self) -> bool:
        """Whether it has subscribed to anything."""
        return self.subscriber is not None and self.subscriber.name_count() > 0

    def in_subscriber_mode(self) -> bool:
        """Whether it has subscribed in RESP2, where a reply and a message look alike: Redis then serves little else."""
        return self.proto == 2 and self.is_subscriber()

    def update_flags(self) -> None:
        """Work out what follows from a change of this state, or of its pool's."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        raise NotImplementedError

    def resume(self) -> None:
        """The reply queue has drained as far as was wanted, or what else was waited for has come."""
        raise NotImplementedError

    def wake(self) -> None:
        """What the session waited for has come: it goes on at the end of this turn."""
        raise NotImplementedError

    def close(self) -> None:
        """Read nothing more; the socket is closed when the open replies are sent."""
        raise NotImplementedError

    def on_disconnect(self) -> None:
        """The socket is closed."""
        raise NotImplementedError
