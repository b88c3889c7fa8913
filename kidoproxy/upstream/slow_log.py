"""The proxy's own slow log: requests that took long, with what of it was the node's and what was waiting."""

from typing import Final, final

from kidoproxy.resp import limits

#: A threshold that nothing reaches.
NEVER: Final = 1e12


@final
class SlowRequest:
    """One request. ``at`` and all durations are seconds, by the clock of the loop.

    ``node_seconds``: how long the node said nothing while this request was the next one to be answered, which is what
    the node itself (and the way to it) took; ``queue_seconds``: what it waited before, here or at the node, behind
    others. ``words`` are the command and its arguments, shortened, as far as they are still known.
    """

    def __init__(
        self,
        request_id: int,
        at: float,
        client: str,
        node_id: int,
        node_name: str,
        words: list[bytes],
        queue_seconds: float,
        node_seconds: float,
    ) -> None:
        self.id: Final = request_id
        self.at: Final = at
        self.client: Final = client
        self.node_id: Final = node_id
        self.node_name: Final = node_name
        self.words: Final = words
        self.queue_seconds: Final = queue_seconds
        self.node_seconds: Final = node_seconds


@final
class SlowLog:
    """The last slow requests of a process, the newest last. ``threshold`` in seconds is when one is slow."""

    def __init__(self) -> None:
        self.threshold = NEVER
        self.last_id = 0
        self.requests: list[SlowRequest] = []
        #: When the next request may be noted that only waited: behind one slow request many do.
        self.next_waiting_at = 0.0

    def set_threshold(self, seconds: float) -> None:
        """From now on; 0.0: nothing is noted."""
        self.threshold = seconds if seconds > 0.0 else NEVER

    def add(
        self,
        at: float,
        client: str,
        node_id: int,
        node_name: str,
        words: list[bytes],
        queue_seconds: float,
        node_seconds: float,
    ) -> None:
        """Note one; past `limits.SLOW_LOG_LENGTH` the oldest one goes."""
        self.last_id += 1
        request = SlowRequest(self.last_id, at, client, node_id, node_name, words, queue_seconds, node_seconds)
        self.requests.append(request)
        if len(self.requests) > limits.SLOW_LOG_LENGTH:
            del self.requests[0]

    def of_nodes(self, node_ids: list[int]) -> list[SlowRequest]:
        """Those of these nodes, the newest first."""
        return [request for request in reversed(self.requests) if request.node_id in node_ids]

    def forget(self, node_ids: list[int]) -> None:
        """Forget those of these nodes."""
        self.requests = [request for request in self.requests if request.node_id not in node_ids]
