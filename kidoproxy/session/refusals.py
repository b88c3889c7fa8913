"""Why a request is not even tried, in the order in which Redis looks for reasons."""

from typing import TYPE_CHECKING

from kidoproxy import errors
from kidoproxy.commands.spec import LANE, LOCAL, NO_AUTH, REFUSED, SESSION, CommandSpec
from kidoproxy.session import pubsub, scripts

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


def why(session: "ClientSession", spec: CommandSpec | None, argv: list[bytes]) -> bytes | None:
    """Why this request is not even tried; None when it is."""
    if spec is None:
        return errors.unknown_command(argv)
    if spec.subs is not None and len(argv) > 1:
        return errors.unknown_subcommand(argv)
    if not spec.accepts(len(argv)):
        return errors.wrong_arity(spec.name)
    if session.judged:
        if not (session.authed or spec.flags & NO_AUTH):
            return errors.NOAUTH
        denial = session.user.refusal(spec, argv, session.checked)
        if denial is not None:
            return denial
    why = session.pool.words.refused(spec)
    if why:
        return errors.denied(spec.name, why)
    if spec.reach == REFUSED or (spec.reach == LANE and spec.reason):
        return errors.denied(spec.name, spec.reason)
    if session.monitor is not None and spec.reach not in (SESSION, LOCAL) and spec.name != b"monitor":
        return errors.MONITORING
    if session.queue is not None and spec.name == b"watch":
        return errors.WATCH_IN_MULTI
    if session.confined and spec.name not in pubsub.ALLOWED:
        return errors.only_listening(spec.name)
    return scripts.refusal(session, spec, argv) if spec.scripting and spec.name in scripts.RUNS else None
