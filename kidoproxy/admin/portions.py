"""A page that takes long is made in portions, between which the loop serves others.

What the loop alone may look at, the proxy's own state, is collected in `PORTION_SECONDS` at a time. What is made of it
is made in a thread, which gives way every few milliseconds as all threads of Python do.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

from kidoproxy.admin.metrics import ProxyCollector, new_snapshot
from kidoproxy.admin.process_metrics import process_families
from kidoproxy.admin.worker_totals import Snapshot
from kidoproxy.net.tasks import in_thread
from kidoproxy.session.proxy_state import ProxyState

#: Others wait no longer.
PORTION_SECONDS: Final = 0.003

Item = TypeVar("Item")


async def in_portions(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The same items; now and then the loop goes round between two of them."""
    began = time.monotonic()
    for item in items:
        yield item
        if time.monotonic() - began >= PORTION_SECONDS:
            await asyncio.sleep(0)
            began = time.monotonic()


async def collect_snapshot(proxy: ProxyState) -> Snapshot:
    """All that this process counts."""
    snapshot = new_snapshot(proxy)
    async for family in in_portions(ProxyCollector(proxy).collect()):
        snapshot.add(family)
    for family in process_families():
        snapshot.add(family)
    return snapshot


async def answer_with_snapshot(proxy: ProxyState) -> bytes:
    """The same for another worker."""
    snapshot = await collect_snapshot(proxy)
    return await in_thread(snapshot.encode)
