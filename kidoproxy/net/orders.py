"""``kidoproxy sync``: a person's orders about a copy. What did not work is a LookupError with one sentence."""

from collections.abc import Callable

from kidoproxy.config import Config
from kidoproxy.net import control

Say = Callable[[str], object]


def sync(config: Config, pool: str, node: str, refill: bool, say: Say) -> None:
    """Order it, and report until it is over."""
    if not (control.refill if refill else control.sync)(config, pool, node, say):
        raise LookupError(f"{node} is not in sync")


def cancel(config: Config, pool: str, node: str, say: Say) -> None:
    """End its sync."""
    control.order(config, pool, node, "CANCEL")
    say(f"{node}: its sync is cancelled")


def trust(config: Config, pool: str, node: str, say: Say, sure: Callable[[str], bool]) -> None:
    """Say what is lost, ask whether that is meant, then do it."""
    for line in control.order(config, pool, node, "TRUST"):
        say(line)
    if not sure(f"Serve what {node} has?"):
        raise LookupError(f"nothing was changed; --yes trusts {node} without a question")
    control.order(config, pool, node, "TRUST", "CONFIRM")
    say(f"{node}: in sync, by your word; sync the others when they are back")
