"""The copy pools of a daemon: a supervisor for each, its record on disk, and what PROXY SYNC asks for."""

import logging
from functools import partial
from pathlib import Path

from kidoproxy.net.copy_records import CopyRecords
from kidoproxy.net.copy_state import StateLocked
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.owner_mark import new_ownership
from kidoproxy.net.ticker import Ticker
from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.routes.topology import Node

log = EventLogger("kidoproxy.copies")


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

    def close(self) -> None:
        """Write what is still to be written, and release the records."""
        self.records.close()
