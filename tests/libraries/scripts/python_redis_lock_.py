# mypy: disable-error-code="import-not-found, import-untyped"
"""python-redis-lock: taken, refused, waited for, extended, renewed, reset; not ``reset_all``, which names no keys."""

import sys
import threading
from typing import Any

import redis
import redis_lock

client = redis.Redis.from_url(sys.argv[1])
locks: list[Any] = []
for number in range(10):
    lock: Any = redis_lock.Lock(client, f"door-{number}", expire=30)
    assert lock.acquire(blocking=False)
    assert not redis_lock.Lock(client, f"door-{number}", expire=30).acquire(blocking=False)
    lock.extend(60)
    waiting: Any = redis_lock.Lock(client, f"door-{number}", expire=30)
    thread = threading.Thread(target=lambda waiting=waiting: waiting.acquire(timeout=10))
    thread.start()
    lock.release()
    thread.join()
    assert waiting.get_owner_id() == waiting.id
    waiting.release()
with redis_lock.Lock(client, "renewed", expire=2, auto_renewal=True):
    pass
left: Any = redis_lock.Lock(client, "left", expire=30)
left.acquire()
redis_lock.Lock(client, "left").reset()
assert not left.locked()
