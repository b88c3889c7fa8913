"""Scripts that copies keep, so that they need not be sent their texts with every call.

Order of events: a copy is sent SCRIPT LOAD ahead of a text that was used before; once it has answered that well, it is
sent EVALSHA on this connection. All that is sent to a copy is on one connection, so what is forgotten through the proxy
(SCRIPT FLUSH) is known to be forgotten.

What is forgotten past the proxy is not: the copy answers NOSCRIPT, and has not run it. If another copy has, it missed a
write, like one that was lost: it is behind. If none has, the text is sent to all of them.
"""

from typing import Final, cast, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.plan import DigestForm, Gather, Interposed, Plan, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.scripts.registry import MAX_SCRIPTS, script_load_request
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.plan_sender import PlanSender
from kidoproxy.upstream.sending import SendingConnection

NOSCRIPT_PREFIX: Final = b"-NOSCRIPT"
#: That it may not run EVALSHA a copy says before it runs anything; other commands may be those of the script.
NOPERM_PREFIX: Final = b"-NOPERM"
EVALSHA_NAME: Final = b"'evalsha'"


def text_instead(
    executor: PlanSender,
    plan: Gather,
    handler: ReplyHandler,
    raw: bytes,
    spec: CommandSpec,
    request_context: RequestContext,
) -> "SendTextInstead | None":
    """Around the handler of a script that copies may run by its digest; None for anything else."""
    interposed = plan.interposed
    if interposed is None or interposed.by_digest is None or request_context.per_node:
        return None
    return SendTextInstead(executor, handler, plan, interposed, raw, spec, request_context)


def submit_digest(
    conn: SendingConnection, handler: ReplyHandler, interposed: Interposed, proto: int, db: int, now: float
) -> bool:
    """Send the digest of a script if the copy keeps that; whether it was sent."""
    form = interposed.by_digest
    if form is None or not keeps_script(conn, form, proto, db, now):
        return False
    conn.submit(DigestReply(handler, conn), interposed.digest_payload_for(conn.node, form), proto, db, now)
    return True


def keeps_script(conn: SendingConnection, form: DigestForm, proto: int, db: int, now: float) -> bool:
    """Whether the copy at the other end has said that it keeps the script; it is asked to if it was not."""
    if not conn.can_send or not conn.may_send_digests:
        # What waits for a connection may find another server at its end.
        return False
    is_kept = conn.kept_scripts.get(form.digest)
    if is_kept is not None:
        return is_kept
    if len(conn.kept_scripts) >= MAX_SCRIPTS:
        conn.kept_scripts = {}
    conn.kept_scripts[form.digest] = False
    handler = KeepReply(conn.kept_scripts, form.digest)
    conn.submit(handler, script_load_request(form.text), proto, db, now)
    # It is never late: what is sent behind it is.
    handler.due = NO_DEADLINE
    return False


@final
class KeepReply(ReplyHandler):
    """The reply to SCRIPT LOAD. A copy that does not take it is sent the text for as long as the connection stands."""

    def __init__(self, kept_scripts: dict[bytes, bool], digest: bytes) -> None:
        super().__init__()
        self.kept_scripts = kept_scripts
        self.digest = digest

    def on_reply(self, raw: bytes) -> None:
        """Note it in the table of then: another one has begun if it may be forgotten since."""
        self.kept_scripts[self.digest] = not is_error(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """The connection is lost, and its table with it; or the answer is late."""


@final
class SendTextInstead(DelegatingHandler):
    """Around the handler of a whole script on copies: if none of them has it, they are all sent its text."""

    def __init__(
        self,
        executor: PlanSender,
        parent: ReplyHandler,
        plan: Gather,
        interposed: Interposed,
        raw: bytes,
        spec: CommandSpec,
        request_context: RequestContext,
    ) -> None:
        super().__init__(parent)
        self.executor = executor
        self.plan = plan
        self.interposed = interposed
        self.raw = raw
        self.spec = spec
        self.request_context = request_context
        #: Whether some copy was sent the digest, and not yet the text for it.
        self.by_digest = False

    def sends_digest(self, plan: Plan, handler: ReplyHandler) -> bool:
        """Carry out this part of the plan by the digest, if that copy keeps the script; whether that was done."""
        context = self.request_context
        is_sent = self.executor.send_digest(cast(Send, plan).node, handler, self.interposed, context.proto, context.db)
        self.by_digest = self.by_digest or is_sent
        return is_sent

    def on_reply(self, raw: bytes) -> None:
        """It is one of these errors if no copy in sync has run it."""
        if self.by_digest and is_digest_refused(raw):
            self.by_digest = False
            self.executor.count_noscript_retry()
            self.executor.execute(self.plan, self.parent, self.raw, self.spec, self.request_context)
        else:
            self.parent.on_reply(raw)


@final
class DigestReply(DelegatingHandler):
    """Around the handler of one copy that was sent a digest."""

    def __init__(self, parent: ReplyHandler, conn: SendingConnection) -> None:
        super().__init__(parent)
        self.connection = conn

    def on_reply(self, raw: bytes) -> None:
        """NOSCRIPT: it has forgotten this one, and perhaps others."""
        if is_digest_refused(raw):
            self.connection.kept_scripts = {}
            self.connection.may_send_digests = raw.startswith(NOSCRIPT_PREFIX)
        self.parent.on_reply(raw)


def is_digest_refused(raw: bytes) -> bool:
    """Whether a reply to EVALSHA says that the script was not run, as the text would be."""
    return raw.startswith(NOSCRIPT_PREFIX) or (raw.startswith(NOPERM_PREFIX) and EVALSHA_NAME in raw)
