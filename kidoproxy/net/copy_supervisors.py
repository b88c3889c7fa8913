"""The copy pools of a daemon: a supervisor for each, its record on disk, and what PROXY SYNC asks for."""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Final

from kidoproxy.net.copy_records import CopyRecords
from kidoproxy.net.copy_state import CopyRecord, StateFile, StateLocked
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.owner_mark import new_ownership
from kidoproxy.net.tasks import in_thread
from kidoproxy.net.ticker import Ticker
from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection

log = EventLogger("kidoproxy.copies")

#: How often it is looked whether all writes that are under way are answered.
RELEASE_POLL_SECONDS: Final = 0.005
#: A minute: time-outs end all that is under way before that.
RELEASE_POLLS: Final = 12_000


class CopySupervisors:
    """Supervises every copy pool of one process."""

    def __init__(
        self,
        bridge: LoopBridge,
        groups: list[CopyGroup],
        state_dir: Path | None,
        take_over: frozenset[str] = frozenset(),
    ) -> None:
        self.bridge = bridge
        self.take_over = take_over
        self.proxy = bridge.proxy
        self.groups = groups
        self.records = CopyRecords(state_dir, bridge)
        self.supervisors: list[CopySupervisor] = []
        #: Another process serves the copies.
        self.is_released = False
        self.proxy.request_sync = self.request_sync
        self.proxy.run_sync_command = self.run_sync_command

    def start(self) -> None:
        """Read and lock the record of each pool, and supervise it from now on. `StateLocked`: somebody else does."""
        for group in self.groups:
            try:
                behind = self.records.start_recording(group)
            except StateLocked as problem:
                raise StateLocked(f"pool.{group.name}: {problem}") from None
            group.ownership = new_ownership(
                group.name, self.proxy.run_id.decode()[:16], self.proxy.started_ms, group.name in self.take_over
            )
            self.supervisors.append(CopySupervisor(self.bridge.executor, group, behind, self.bridge.update_clock()))
        self.proxy.copy_groups = self.groups

    def are_locked(self) -> bool:
        """Whether another process has locked the record of one of the pools."""
        return any(StateFile(self.records.folder, group).is_locked() for group in self.groups)

    def is_starting(self) -> bool:
        """Whether an election or a first comparison is still under way."""
        return any(supervisor.is_starting() for supervisor in self.supervisors)

    def other_owner(self) -> str:
        """Who serves the copies of all pools of this process, and what to do; empty if this one may serve a pool."""
        found = [group.ownership for group in self.groups if group.ownership is not None]
        owners = {each.yielded_to.describe(): None for each in found if each.yielded_to is not None}
        if not found or any(each.yielded_to is None for each in found):
            return ""
        return f"{' and '.join(owners)}; {found[0].yield_reason}"

    def register_ticks(self, ticker: Ticker) -> None:
        for supervisor in self.supervisors:
            ticker.add(f"copies of {supervisor.group.name}", partial(self.tick, supervisor))

    def tick(self, supervisor: CopySupervisor) -> None:
        if self.is_released:
            return
        supervisor.tick(self.bridge.executor.now, self.proxy.wall_ms)
        for copy in supervisor.group.copies:
            self.update_status(supervisor, copy.node)
        for event in supervisor.log_events:
            log.write(logging.INFO, event)
        supervisor.log_events.clear()

    def request_sync(self, node: Node) -> str:
        """PROXY SYNC: why not, or empty when it will be done."""
        group = group_of(node)
        if group is None:
            return f"{node.name} is not part of a copy pool"
        supervisor = self.supervisor_of(group)
        problem = supervisor.request_sync(node, False)
        self.update_status(supervisor, node)
        return problem

    def run_sync_command(self, node: Node, subcommand: str) -> tuple[str, list[str]]:
        """PROXY SYNC NODE SUBCOMMAND: why not, or empty, and the lines to show. ``node`` is part of a copy pool."""
        group = group_of(node)
        assert group is not None
        supervisor = self.supervisor_of(group)
        problem, lines = supervisor.run_sync_command(node, subcommand)
        self.update_status(supervisor, node)
        return problem, lines

    def supervisor_of(self, group: CopyGroup) -> CopySupervisor:
        return next(supervisor for supervisor in self.supervisors if supervisor.group is group)

    def update_status(self, supervisor: CopySupervisor, node: Node) -> None:
        self.proxy.sync_status[node.node_id] = supervisor.sync_progress(node)

    async def release(self) -> dict[str, str]:
        """Let another process serve the copies: what was sent is answered first. The records, by the names of files."""
        self.is_released = True
        nodes = [copy.node for group in self.groups for copy in group.copies]
        conns = [conn for conn in self.bridge.executor.all_connections() if conn.node in nodes]
        # Each request has its deadline, and what a copy misses is in its record.
        for _ in range(RELEASE_POLLS):
            if not any(conn.in_flight_count() or conn.queue for conn in conns if conn.is_ready()):
                break
            await asyncio.sleep(RELEASE_POLL_SECONDS)
        keep_closed(self.bridge, conns)
        records = [CopyRecord.of_group(group) for group in self.groups if self.supervisors]
        await in_thread(self.records.close)
        return {record.file_key(): record.encode() for record in records}

    def close(self) -> None:
        """Write what is still to be written, and release the records."""
        self.records.close()


def keep_closed(bridge: LoopBridge, conns: list[NodeConnection]) -> None:
    """Close these connections, and open none of their kind any more: a node sees the end of our ownership by it."""
    nodes = {conn.node for conn in conns}
    update_socket = bridge.update_socket

    def update_others(conn: NodeConnection) -> None:
        if conn.node not in nodes and update_socket is not None:
            update_socket(conn)

    bridge.update_socket = update_others
    for conn in conns:
        transport, conn.transport = conn.transport, None
        if isinstance(transport, NodeIO):
            transport.abort()
