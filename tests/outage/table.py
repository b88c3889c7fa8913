"""The clients that are measured: how their processes are started, and what has to be installed for them."""

import sys
from dataclasses import dataclass
from typing import Final

MODULES: Final = "tests.outage.clients"


@dataclass(frozen=True, slots=True)
class Client:
    """``producer`` sends jobs that ``worker`` runs; without one it pushes to the list ``pushes``."""

    name: str
    producer: tuple[str, ...]
    worker: tuple[str, ...] = ()
    pushes: str = ""
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()


def python(*words: str) -> tuple[str, ...]:
    """The words that run a module."""
    return (sys.executable, "-m", *words)


def module(name: str, *words: str, function: str = "main") -> tuple[str, ...]:
    """The words that call a function of a client file, imported under the name by which its worker knows the job."""
    return (sys.executable, "-c", f"from {MODULES}.{name} import {function}; {function}()", *words)


def node(script: str, *words: str) -> tuple[str, ...]:
    """The words that run a client file of Node.js."""
    return ("node", f"tests/outage/node/{script}.cjs", *words)


CLIENTS: Final = (
    Client(
        "celery",
        module("celery_"),
        python("celery", "-A", f"{MODULES}.celery_", "worker", "-c", "2", "-l", "INFO"),
    ),
    Client(
        "rq",
        module("rq_"),
        (sys.executable, "-c", "from rq.cli import main; main()", "worker", "outage", "--url", "{url}"),
    ),
    Client("dramatiq", module("dramatiq_"), python("dramatiq", f"{MODULES}.dramatiq_:broker", "-p", "1", "-t", "2")),
    Client("huey", module("huey_"), python("huey.bin.huey_consumer", f"{MODULES}.huey_.huey", "-w", "2")),
    Client("arq", module("arq_"), python("arq", f"{MODULES}.arq_.WorkerSettings"), pip=("arq",)),
    Client("saq", module("saq_"), python("saq", f"{MODULES}.saq_.settings"), pip=("saq[redis]",)),
    Client("channels_redis", module("channels_redis_"), module("channels_redis_", function="worker")),
    Client("python-socketio", module("socketio_"), module("socketio_", function="worker")),
    Client("redis-py, no retries", module("redis_", "none"), pushes="outage:redis-none"),
    Client("redis-py, its own retries", module("redis_", "default"), pushes="outage:redis-default"),
    Client("redis-py, many retries", module("redis_", "many"), pushes="outage:redis-many"),
    Client("django-redis", module("django_redis_"), pushes="outage:django-redis"),
    Client("ioredis", node("ioredis"), pushes="outage:ioredis-plain", npm=("ioredis",)),
    Client("ioredis, reconnectOnError", node("ioredis", "resend"), pushes="outage:ioredis-resend", npm=("ioredis",)),
    Client("node-redis", node("node-redis"), pushes="outage:node-redis", npm=("redis",)),
    Client(
        "bullmq",
        node("bullmq", "producer", "plain"),
        node("bullmq", "worker", "plain"),
        npm=("bullmq", "ioredis"),
    ),
    Client(
        "bullmq, reconnectOnError",
        node("bullmq", "producer", "resend"),
        node("bullmq", "worker", "resend"),
        npm=("bullmq", "ioredis"),
    ),
)
#: The beginnings of all their keys; the ring is told to keep these together.
FAMILY: Final = (
    "outage",
    *("@celery", "@rq", "@dramatiq", "@huey", "@arq", "@saq", "@bullmq", "@channels_redis"),
    "socketio",
)
