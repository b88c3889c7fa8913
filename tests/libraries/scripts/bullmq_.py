# mypy: disable-error-code="import-not-found, import-untyped"
"""bullmq for Python: jobs, jobs for later, priorities, a flow."""

import asyncio
import sys
from typing import Any

from bullmq import FlowProducer, Queue, Worker


async def main() -> None:
    """All of it."""
    done: list[int] = []
    enough = asyncio.Event()

    async def process(job: Any, token: str) -> int:
        done.append(job.data["number"])
        if len(done) == 16:
            enough.set()
        number: int = job.data["number"]
        return number

    options = {"connection": sys.argv[1]}
    worker = Worker("mail", process, options)
    queue = Queue("mail", options)
    for number in range(10):
        await queue.add("run", {"number": number}, {"priority": number % 3} if number % 2 else {})
    await queue.add("later", {"number": 10}, {"delay": 200})
    await queue.add("run", {"number": 11}, {"attempts": 5})
    flow = FlowProducer(sys.argv[1])
    children = [{"name": "child", "queueName": "mail", "data": {"number": 20 + at}} for at in range(3)]
    await flow.add({"name": "parent", "queueName": "mail", "data": {"number": 30}, "children": children})
    await asyncio.wait_for(enough.wait(), 20)
    assert sorted(done) == [*range(12), 20, 21, 22, 30]
    await asyncio.sleep(0.2)
    counts = await queue.getJobCounts("completed", "failed", "wait", "active")
    assert counts["completed"] == 16, counts
    await worker.close()
    await flow.close()
    await queue.close()


asyncio.run(main())
