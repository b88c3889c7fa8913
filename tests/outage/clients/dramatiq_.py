# mypy: disable-error-code="no-untyped-call"
"""dramatiq."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.outage.notes import URL, produce, ran

broker: Any = RedisBroker(url=URL)


def run(number: int) -> None:
    ran(number)


actor: Any = dramatiq.actor(broker=broker, queue_name="outage")(run)


def main() -> None:
    """The producer."""
    produce(actor.send)
