"""Why a request is refused before anything is sent: by the pool, in Redis's order, or by PROXY NODE for one node."""

from typing import Final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.spec import (
    DEDICATED,
    LOCAL,
    NO_AUTH,
    REFUSED,
    SCRIPT_NONE,
    SESSION,
    SINGLE_NODE,
    SUBSCRIBE,
    WRITE,
    CommandSpec,
)
from kidoproxy.resp import client_errors, errors
from kidoproxy.routes.topology import Node
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import scripts
from kidoproxy.session.handlers.blocking import needs_dedicated

#: A refusal with this text is about the pool as a whole; PROXY NODE does not apply it.
ONE_NODE_HINT: Final = "ask one node: PROXY NODE"


def form_error(spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """The error for a command that does not exist, or has the wrong number of arguments."""
    if spec is None:
        return errors.unknown_command(argv)
    if spec.subcommands is not None and len(argv) > 1:
        return errors.unknown_subcommand(argv)
    return None if spec.accepts(len(argv)) else errors.wrong_arity(spec.name)


def find_script_refusal(session: Session, spec: CommandSpec, argv: list[bytes]) -> bytes | None:
    """The error for a script that may not run."""
    return scripts.find_refusal(session, spec, argv) if spec.script_source != SCRIPT_NONE else None


def find_refusal(session: Session, spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """The error for a request that is refused; None when it may run."""
    malformed = form_error(spec, argv)
    if malformed is not None or spec is None:
        return malformed
    if session.needs_acl:
        if not (session.authed or spec.flags & NO_AUTH):
            return client_errors.NOAUTH
        denial = session.user.denial_error(spec, argv, session.acl_check)
        if denial is not None:
            return denial
    reason = session.context.commands.refusal(spec)
    if reason:
        return errors.not_served(spec.name, reason)
    if spec.reach == REFUSED or (spec.reach == DEDICATED and spec.reason):
        return errors.not_served(spec.name, spec.reason)
    if session.monitor is not None and spec.reach not in (SESSION, LOCAL) and spec.handler != handler_ids.MONITOR:
        return errors.IN_MONITOR_MODE
    if session.multi is not None and spec.handler == handler_ids.WATCH:
        return errors.WATCH_IN_MULTI
    if session.in_subscriber_mode() and not spec.runs_in_subscriber_mode:
        return errors.subscriber_mode_only(spec.name)
    return find_script_refusal(session, spec, argv) if spec.is_scripting else None


def find_one_node_refusal(session: Session, node: Node, spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """Why this command may not be sent to this node; None when it may."""
    malformed = form_error(spec, argv)
    if malformed is not None or spec is None:
        return malformed
    denial = session.user.denial_error(spec, argv)
    if denial is not None:
        return denial
    reason = session.context.commands.refusal(spec)
    if not reason and spec.reach == REFUSED:
        reason = spec.reason
    if reason and ONE_NODE_HINT not in reason:
        return errors.not_served(spec.name, reason)
    if spec.shows_node_users:
        return errors.not_for_one_node(spec.name, "a node's users are its operator's; ACL alone tells of this pool's")
    if spec.reach == SESSION:
        return errors.not_for_one_node(spec.name, "it would change a connection that all clients share")
    if needs_dedicated(spec, argv) or spec.reach == SUBSCRIBE:
        return errors.not_for_one_node(spec.name, "it would hold up a connection that all clients share")
    if node.is_copy and (spec.flags & WRITE or (spec.may_write and spec.reach == SINGLE_NODE)):
        return errors.not_for_one_node(spec.name, "one copy would then differ from the others")
    return find_script_refusal(session, spec, argv)
