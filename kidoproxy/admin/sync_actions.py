"""``kidoproxy sync``: what an operator asks of a copy. What did not work is a LookupError with one sentence."""

from collections.abc import Callable

from kidoproxy.admin import control_client
from kidoproxy.config import Config

Report = Callable[[str], object]


def sync(config: Config, pool: str, node: str, refill: bool, report: control_client.Report) -> None:
    """Request a sync, and report until it is over."""
    if not (control_client.refill if refill else control_client.sync)(config, pool, node, report):
        raise LookupError(f"{node} is not in sync")


def cancel(config: Config, pool: str, node: str, report: Report) -> None:
    """Request the end of a sync."""
    control_client.send_sync_command(config, pool, node, "CANCEL")
    report(f"{node}: its sync is cancelled")


def trust(config: Config, pool: str, node: str, report: Report, confirm: Callable[[str], bool]) -> None:
    """Say what is lost, ask whether that is meant, then do it."""
    for line in control_client.send_sync_command(config, pool, node, "TRUST"):
        report(line)
    if not confirm(f"Serve what {node} has?"):
        raise LookupError(f"nothing was changed; --yes trusts {node} without a question")
    control_client.send_sync_command(config, pool, node, "TRUST", "CONFIRM")
    report(f"{node}: in sync, by your word; sync the others when they are back")
