"""What a client's processes note in a file, beside all servers: which jobs were sent, failed to be sent, and were run.

A line is ``word number seconds text``. The file is named by ``OUTAGE_NOTES``; producers wait while
``<file>.pause`` is there, and end when ``<file>.stop`` is.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

#: In the environment of the processes: the address of the server, and the file.
SERVER: Final = "LIVE_SERVER"
NOTES: Final = "OUTAGE_NOTES"
#: Between two jobs.
PAUSE: Final = 0.5

URL: Final = os.environ.get(SERVER, "redis://127.0.0.1:1")


def note(word: str, number: int, text: str = "") -> None:
    """Append one line, whole whichever other process appends."""
    line = f"{word} {number} {time.monotonic():.3f} {' '.join(text.split())[:200]}\n"
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def ran(number: int) -> None:
    """Called by the job."""
    note("ran", number)


def numbers() -> Iterator[int]:
    """The numbers of the jobs, until the file says stop."""
    stop = Path(f"{os.environ[NOTES]}.stop")
    pause = Path(f"{os.environ[NOTES]}.pause")
    number = 0
    while not stop.exists():
        while pause.exists():
            time.sleep(0.05)
        yield number
        number += 1


def produce(send: Callable[[int], object]) -> None:
    """Send jobs; one that cannot be sent is noted and given up, as a web page would."""
    for number in numbers():
        try:
            send(number)
        except Exception as error:  # noqa: BLE001 - whatever a library raises is what is looked for
            note("failed", number, f"{type(error).__name__}: {error}")
        else:
            note("sent", number)
        time.sleep(PAUSE)


async def produce_async(send: Callable[[int], Awaitable[object]]) -> None:
    """`produce` on an event loop."""
    for number in numbers():
        try:
            await send(number)
        except Exception as error:  # noqa: BLE001
            note("failed", number, f"{type(error).__name__}: {error}")
        else:
            note("sent", number)
        await asyncio.sleep(PAUSE)
