"""Why a request is refused before anything is sent, checked in Redis's order."""

from kidoproxy.commands.spec import DEDICATED, LOCAL, NO_AUTH, REFUSED, SESSION, CommandSpec
from kidoproxy.resp import client_errors, errors
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import pubsub, scripts


def rejection(session: Session, spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """The error for a request that is refused; None when it may run."""
    if spec is None:
        return errors.unknown_command(argv)
    if spec.subcommands is not None and len(argv) > 1:
        return errors.unknown_subcommand(argv)
    if not spec.accepts(len(argv)):
        return errors.wrong_arity(spec.name)
    if session.needs_acl:
        if not (session.authed or spec.flags & NO_AUTH):
            return client_errors.NOAUTH
        denial = session.user.rejection(spec, argv, session.acl_check)
        if denial is not None:
            return denial
    reason = session.context.commands.refusal(spec)
    if reason:
        return errors.not_served(spec.name, reason)
    if spec.reach == REFUSED or (spec.reach == DEDICATED and spec.reason):
        return errors.not_served(spec.name, spec.reason)
    if session.monitor is not None and spec.reach not in (SESSION, LOCAL) and spec.name != b"monitor":
        return errors.IN_MONITOR_MODE
    if session.multi is not None and spec.name == b"watch":
        return errors.WATCH_IN_MULTI
    if session.in_subscriber_mode() and spec.name not in pubsub.SUBSCRIBER_MODE_COMMANDS:
        return errors.subscriber_mode_only(spec.name)
    return scripts.rejection(session, spec, argv) if spec.is_scripting and spec.name in scripts.SCRIPT_RUNNERS else None
