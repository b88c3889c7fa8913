"""The end of the clients: all that has arrived is answered, then each is closed (`ClientIO.close_if_drained`).

At a stop all are closed at once. When another process has taken over they are closed in portions, so that not all
connect to it at one moment; those of copy pools go first, for their copies wait for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.deadlines import TICK_SECONDS
from kidoproxy.net.listen import ListeningServer
from kidoproxy.replies.accounting import DRAIN_TIMEOUT
from kidoproxy.resp.limits import DRAIN_HURRY_SECONDS, DRAIN_QUIET_MS

#: How many sockets are in a TLS handshake, and will be clients.
CountHandshakes = Callable[[], int]
#: For so long they are waited for: who says nothing must not hold up every stop.
HANDSHAKE_SECONDS: Final = 1.0
#: For so many turns those are accepted who had connected before: more may come at any time.
ACCEPT_TURNS: Final = 1000
#: So many clients at least are closed in each tick; all within this part of the time that a drain has.
MIN_PORTION: Final = 8
PORTIONED_PART: Final = 0.5
#: Before that, an upgrade closes everybody within so many seconds.
MAX_PORTIONED_SECONDS: Final = 5.0


async def accept_waiting(listeners: Iterable[ListeningServer]) -> None:
    """Who has connected and is not accepted would be reset, with a request that it has sent."""
    for _ in range(ACCEPT_TURNS):
        if not any(listener.has_waiting() for listener in listeners):
            return
        # The loop accepts one in each turn.
        await asyncio.sleep(0)


async def drain_clients(
    clients: set[ClientIO], seconds: float, gradual: bool, count_handshakes: CountHandshakes = lambda: 0
) -> float:
    """Close all, within so many ``seconds``; how many it took. Who is in a handshake becomes a client first."""
    started = time.monotonic()
    portion = max(len(clients), MIN_PORTION)
    if gradual:
        ticks = min(seconds * PORTIONED_PART, MAX_PORTIONED_SECONDS) / TICK_SECONDS
        portion = max(MIN_PORTION, int(len(clients) / max(ticks, 1)) + 1)
    begun: dict[ClientIO, float] = {}
    while (now := time.monotonic()) - started < seconds and (
        clients or (count_handshakes() and now - started < HANDSHAKE_SECONDS)
    ):
        for client in [client for client in clients if client not in begun][:portion]:
            begun[client] = now
        for client in [client for client in begun if client in clients]:
            client.close_if_drained(now - begun[client] >= DRAIN_HURRY_SECONDS)
        await asyncio.sleep(TICK_SECONDS)
    for client in list(clients):
        client.disconnect(DRAIN_TIMEOUT)
    return time.monotonic() - started


async def finish_clients(
    find_clients: Callable[[], list[ClientIO]], seconds: float, count_handshakes: CountHandshakes = lambda: 0
) -> None:
    """Close these until nothing is owed to any of them: their ends are not waited for. Who comes meanwhile, too."""
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        clients = [client for client in find_clients() if not client.sent_eof]
        if not clients and not (count_handshakes() and waited < HANDSHAKE_SECONDS):
            return
        if waited >= seconds:
            for client in clients:
                client.disconnect(DRAIN_TIMEOUT)
            return
        for client in clients:
            client.close_if_drained(waited * 1000 >= DRAIN_QUIET_MS)
        await asyncio.sleep(TICK_SECONDS / 5)
