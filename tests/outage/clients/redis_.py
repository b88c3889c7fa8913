"""redis-py by itself: pushes to a list, without retries, with its own ("default"), or with many."""

import sys

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from tests.outage.notes import URL, produce


def main() -> None:
    """The producer."""
    kind = sys.argv[1]
    if kind == "default":
        client = redis.Redis.from_url(URL)
    else:
        client = redis.Redis.from_url(
            URL, retry=Retry(ConstantBackoff(0.2), 40) if kind == "many" else Retry(NoBackoff(), 0)
        )
    produce(lambda number: client.rpush(f"outage:redis-{kind}", number))
