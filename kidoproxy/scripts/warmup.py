"""What a node has to load before it serves: the scripts of its pools, after it was restarted or missed a load.

    join ──► fetch_libraries ──► on_libraries ──► load_scripts ──► finish ──► resume

One connection of the node loads them, the others wait for it: nothing runs on the node before it has what was loaded
at the others, and nothing that was loaded since can be overwritten by a warm-up that is late.
"""

from typing import final

from kidoproxy.scripts.registry import ScriptRegistry


class WarmupConnection:
    """A connection to the node, as far as its warm-up is concerned."""

    def is_connected(self) -> bool:
        """Whether the connection that joined still stands."""
        raise NotImplementedError

    def load_scripts(self, payload: bytes, count: int) -> None:
        """Send these ``count`` requests; then call `WarmupState.finish`."""
        raise NotImplementedError

    def resume(self) -> None:
        """The node has what it needs, or cannot have it: serve."""
        raise NotImplementedError


class WarmupFetcher:
    """Knows where to ask what libraries a node should have."""

    def fetch_libraries(self, warmup: "WarmupState", connection: WarmupConnection) -> None:
        """Ask another node for its libraries, then call `WarmupState.on_libraries`; here there is none to ask."""
        warmup.on_libraries(connection, None)


@final
class WarmupState:
    """The warm-up of one node. ``needs_warmup``: it may lack something that was loaded."""

    def __init__(self) -> None:
        self.registries: list[ScriptRegistry] = []
        self.fetcher = WarmupFetcher()
        self.needs_warmup = False
        self.active: WarmupConnection | None = None
        self.waiting: list[WarmupConnection] = []
        #: The version of the registries when the running warm-up began.
        self.started_version = 0
        #: How often something was loaded.
        self.warmup_count = 0

    def join(self, connection: WarmupConnection) -> bool:
        """Whether ``connection`` has to wait before it serves; it is resumed when it may."""
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
        """Whether the nodes of both belong to one listening pool."""
        return any(registry in other.registries for registry in self.registries)

    def on_libraries(self, connection: WarmupConnection, libraries: list[bytes] | None) -> None:
        """What loads another node's libraries; None: there was none to ask, so the registries have to do."""
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
        """Grows with every change of a registry."""
        return sum([registry.version for registry in self.registries])

    def finish(self, connection: WarmupConnection, succeeded: bool) -> None:
        """The warm-up has ended: the node has taken everything, or it has not and is warmed up again another time."""
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
