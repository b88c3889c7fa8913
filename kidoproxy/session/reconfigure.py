"""What it means for the clients of a pool that its users, its commands or its limits have become others.

As in Redis when an ACL file is loaded anew: a client keeps its login, with the rules that its user has now. It is
closed if its user is gone, or if it has subscribed to what the user may not hear any more. A transaction that is open
is aborted by EXEC if a command in it would be refused now.
"""

from typing import cast

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.spec import PATTERN
from kidoproxy.resp import limits
from kidoproxy.session import accounting
from kidoproxy.session.base import Session
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.pubsub.topics import KINDS
from kidoproxy.session.refusal import find_refusal
from kidoproxy.session.state import SessionState
from kidoproxy.session.users import Users


def reconfigure_clients(proxy: ProxyState, context: PoolContext, users: Users, commands: CommandSet) -> int:
    """Give the pool these users and commands, and its clients what else it says by now; how many were closed."""
    same_commands = commands.is_same_as(context.commands)
    if not same_commands:
        commands.discovered = context.commands.discovered
        context.commands = commands
    context.users = users
    closed = 0
    for session in list(proxy.sessions.values()):
        if session.context is not context or session.closing:
            continue
        accounting.update_reply_queue(session.replies, context)
        old_acl = session.user.acl
        if keep_login(session, users):
            session.update_flags()
            if not (same_commands and session.user.acl.is_same_as(old_acl)):
                check_transaction(cast(Session, session))
        else:
            session.close()
            closed += 1
    return closed


def keep_login(session: SessionState, users: Users) -> bool:
    """Let the client be who it is, by today's rules; whether it may."""
    user = users.find(session.user.name)
    if user is None or not may_hear_all(session, user.acl):
        return False
    session.user = user
    session.authed = session.authed or user.needs_no_login
    return True


def may_hear_all(session: SessionState, acl: Acl) -> bool:
    """Whether the client may hear all that it has subscribed to, or is about to."""
    subscriber = session.subscriber
    if subscriber is None or acl.all_channels or acl.channel_patterns == session.user.acl.channel_patterns:
        return True
    names = [(kind, name) for kind in KINDS for name in (*subscriber.names_by_kind[kind], *subscriber.awaited[kind])]
    return all(acl.allows_channel(name, kind == PATTERN) for kind, name in names)


def check_transaction(session: Session) -> None:
    """Have EXEC abort a transaction in which something is refused by now; a very long one unseen."""
    multi = session.multi
    if multi is None:
        return
    if sum([len(queued.request.argv) for queued in multi.queue]) > limits.SLICE_UNITS:
        multi.exec_dirty = True
    for queued in multi.queue if not multi.exec_dirty else []:
        if find_refusal(session, queued.spec, queued.request.argv) is not None:
            multi.exec_dirty = True
            break
