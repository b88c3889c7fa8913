"""What a node has to be taught before it serves: the books of its pools, after it was restarted or missed a load.

One link of the node is taught, the others wait for it: nothing runs on the node before it knows what was
loaded, and nothing that was loaded since can be overwritten by a lesson that is late.
"""

from typing import final

from kidoproxy.scripts.registry import ScriptRegistry


class WarmupConnection:
    """A link of the node, as its school sees it."""

    def is_connected(self) -> bool:
        """Whether the connection that came to school still stands."""
        raise NotImplementedError

    def load_scripts(self, payload: bytes, count: int) -> None:
        """Send these ``count`` requests, then tell `School.over`."""
        raise NotImplementedError

    def resume(self) -> None:
        """The node knows what it has to know: serve."""
        raise NotImplementedError


class WarmupFetcher:
    """Knows where to ask what a node should know."""

    def fetch_libraries(self, warmup: "WarmupState", connection: WarmupConnection) -> None:
        """Ask a neighbour for its libraries, and tell `School.fetched`; this one knows no neighbours."""
        warmup.on_libraries(connection, None)


@final
class WarmupState:
    """Of one node. ``behind``: it may lack something that was loaded."""

    def __init__(self) -> None:
        self.registries: list[ScriptRegistry] = []
        self.fetcher = WarmupFetcher()
        self.needs_warmup = False
        self.active: WarmupConnection | None = None
        self.waiting: list[WarmupConnection] = []
        self.started_version = 0
        #: How often the node was taught.
        self.warmup_count = 0

    def join(self, connection: WarmupConnection) -> bool:
        """Whether ``pupil`` has to wait before it serves; it is told when."""
        if not self.needs_warmup:
            return False
        if self.active is not None:
            self.waiting.append(connection)
            return True
        self.active = connection
        self.started_version = self.registry_version()
        self.fetcher.fetch_libraries(self, connection)
        return True

    def shares_a_pool(self, other: "WarmupState") -> bool:
        """Whether the nodes of both belong to one pool that listens."""
        return any(registry in other.registries for registry in self.registries)

    def on_libraries(self, connection: WarmupConnection, libraries: list[bytes] | None) -> None:
        """What loads the libraries that a neighbour has; None: there is none to ask."""
        if not connection.is_connected():
            self.finish(connection, False)
            return
        load_requests = (
            libraries
            if libraries is not None
            else [frame for registry in self.registries for frame in registry.library_requests()]
        )
        load_requests = load_requests + [
            frame for registry in self.registries for frame in registry.script_load_requests()
        ]
        if load_requests:
            self.warmup_count += 1
            connection.load_scripts(b"".join(load_requests), len(load_requests))
        else:
            self.finish(connection, True)

    def registry_version(self) -> int:
        """Grows with each of the books."""
        return sum([registry.version for registry in self.registries])

    def finish(self, connection: WarmupConnection, succeeded: bool) -> None:
        """The lesson has ended: the node has taken everything, or it has not and is taught again another time."""
        self.active = None
        waiting = self.waiting
        self.waiting = []
        if succeeded and self.started_version == self.registry_version():
            self.needs_warmup = False
        if not succeeded:
            connection.resume()
        else:
            waiting.insert(0, connection)
        for other in waiting:
            if other.is_connected() and not self.join(other):
                other.resume()
