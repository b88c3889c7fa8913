"""Before a node is warmed up its peers are asked for their libraries: what they have is what it should have.

This process need not have seen the last change: another worker may have, or another proxy. So our own registry is only
the last resort, for when no peer can be asked.
"""

from typing import Final, final

from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.scripts.warmup import WarmupConnection, WarmupFetcher, WarmupState
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

LIST_LIBRARIES: Final = encode_request([b"FUNCTION", b"LIST", b"WITHCODE"])


def fetch_libraries_from_peers(executor: Executor) -> None:
    """Let each node that has to be warmed up learn the libraries of its peers, before those that we have seen."""
    peers = LibraryPeers(executor)
    for connection_set in executor.connection_sets:
        connection_set.node.warmup.fetcher = peers


@final
class LibraryPeers(WarmupFetcher):
    """Asks the peers of a node: the nodes of the same pools that need no warmup themselves."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def fetch_libraries(self, warmup: WarmupState, connection: WarmupConnection) -> None:
        """Ask the first peer that there is an open connection to; the others if it gives no answer."""
        peers: list[NodeConnection] = []
        for connection_set in self.executor.connection_sets:
            peer = connection_set.node.warmup
            if peer is not warmup and not peer.needs_warmup and warmup.shares_a_pool(peer):
                peers += [conn for conn in connection_set.shared_connections() if conn.can_send][:1]
        self.ask_first(peers, warmup, connection)

    def ask_first(self, peers: list[NodeConnection], warmup: WarmupState, connection: WarmupConnection) -> None:
        """Ask the first of ``peers``, then the others; when there is none left, the registry has to do."""
        if not peers:
            warmup.on_libraries(connection, None)
            return
        conn = peers[0]

        def on_library_list(raw: bytes) -> None:
            """The list of libraries, or an error: a server before 7.0 does not know the command."""
            if raw[:1] != b"*":
                self.ask_first(peers[1:], warmup, connection)
            else:
                warmup.on_libraries(connection, [library_load_request(code) for code in listed_codes(raw)])

        def on_failure(failure: NodeFailure) -> None:
            self.ask_first(peers[1:], warmup, connection)

        conn.submit(
            CallbackHandler(on_library_list, on_failure), LIST_LIBRARIES, conn.proto, conn.db, self.executor.now
        )


def listed_codes(raw: bytes) -> list[bytes]:
    """The codes of the libraries in a reply to FUNCTION LIST WITHCODE."""
    return [library_code(items(library)) for library in items(raw)]


def library_code(library: list[bytes]) -> bytes:
    """That of one library, given its fields and values in turn."""
    fields = {string_value(library[index]): library[index + 1] for index in range(0, len(library) - 1, 2)}
    return string_value(fields[b"library_code"])


def library_load_request(code: bytes) -> bytes:
    """The request that loads a library."""
    return encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code])
