# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"
"""rq-scheduler and django-rq: a job for later, a periodic one; a queue of Django's settings and its worker."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import django
import redis
from django.conf import settings
from rq import Queue, SimpleWorker

address = urlsplit(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["django_rq"], RQ_QUEUES={"default": {"HOST": address.hostname, "PORT": address.port, "DB": 0}}
)
django.setup()

import django_rq  # noqa: E402
from rq_scheduler import Scheduler  # noqa: E402


def main() -> None:
    """All of it."""
    client = redis.Redis.from_url(sys.argv[1])
    scheduler: Any = Scheduler(queue_name="later", connection=client)
    now = datetime.now(UTC).replace(tzinfo=None)
    job = scheduler.enqueue_at(now - timedelta(seconds=1), len, "abc")
    scheduler.schedule(scheduled_time=now - timedelta(seconds=1), func=len, args=["ab"], interval=60, repeat=2)
    assert job in scheduler
    scheduler.run(burst=True)
    SimpleWorker([Queue("later", connection=client)], connection=client).work(burst=True)
    assert job.return_value() == 3
    queue: Any = django_rq.get_queue("default")
    jobs = [queue.enqueue(len, "x" * number) for number in range(5)]
    django_rq.get_worker("default", worker_class=SimpleWorker).work(burst=True)
    assert [one.return_value() for one in jobs] == [0, 1, 2, 3, 4]


main()
