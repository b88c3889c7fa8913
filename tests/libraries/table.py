"""The libraries whose sets are proved by running them: script, sets, and what has to be installed."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Library:
    """``script`` is in the folder ``scripts``, and is given the address of a server; ``together`` is what it needs."""

    script: str
    together: tuple[str, ...]
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()


LIBRARIES: Final = (
    Library("rq_scheduler_.py", ("@rq",), pip=("rq-scheduler", "django-rq")),
    Library("bullmq_.py", ("@bullmq",), pip=("bullmq",)),
    Library("bullmq.cjs", ("@bullmq",), npm=("bullmq", "ioredis")),
    Library("bull.cjs", ("@bullmq",), npm=("bull",)),
    Library("bee-queue.cjs", ("@beequeue",), npm=("bee-queue",)),
    Library("sidekiq.rb", ("@sidekiq",)),
    Library("arq_.py", ("@arq",), pip=("arq",)),
    Library("saq_.py", ("@saq",), pip=("saq[redis]",)),
    Library("streaq_.py", ("@streaq",), pip=("streaq",)),
    Library("limits_.py", ("@limits",), pip=("limits",)),
    Library("litestar_.py", ("@litestar",), pip=("litestar",)),
    Library("python_redis_lock_.py", ("@python_redis_lock",), pip=("python-redis-lock",)),
    Library("bottleneck.cjs", ("@bottleneck",), npm=("bottleneck", "ioredis")),
    Library("throttled_.py", ("@throttled",), pip=("throttled-py",)),
    Library("self_limiters_.py", ("@self_limiters",), pip=("self-limiters",)),
)
