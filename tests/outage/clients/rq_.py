# mypy: disable-error-code="no-untyped-call"
"""RQ."""

import redis
from rq import Queue

from tests.outage.notes import URL, produce, ran


def run(number: int) -> int:
    ran(number)
    return number


def main() -> None:
    """The producer."""
    queue = Queue("outage", connection=redis.Redis.from_url(URL))
    produce(lambda number: queue.enqueue("tests.outage.clients.rq_.run", number))
