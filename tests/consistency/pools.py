"""The kinds of copy pools that scenarios are played on: how they acknowledge and read, their servers and clocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kidoproxy.admin.embedded import find_server
from kidoproxy.config.example import to_toml
from tests.consistency.clock import program_with_clock
from tests.consistency.nodes import VariousNodes
from tests.live.proxies import RunningProxy
from tests.needs import find


@dataclass(frozen=True, slots=True)
class PoolKind:
    """``options`` are settings of each copy pool; ``shards``: of so many such pools a ring is made.

    ``spare``: so many copies more than a scenario needs, unless it needs just those. ``ahead_ms``: by how much the
    clock of each copy is ahead; those that are not named have the right time. ``is_lazy``: the second copy removes
    what has expired only when it is asked for it. ``is_mixed``: the last copy is the system's server.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    shards: int = 1
    spare: int = 0
    ahead_ms: tuple[int, ...] = ()
    is_lazy: bool = False
    is_mixed: bool = False

    @property
    def ack(self) -> str:
        """When a write is acknowledged."""
        return str(dict(self.options).get("ack", "all"))

    @property
    def skew(self) -> float:
        """Seconds by which a copy's clock may be wrong."""
        return max((abs(each) for each in self.ahead_ms), default=0) / 1000

    def is_possible(self) -> bool:
        """Whether this machine has what it needs."""
        return (not self.ahead_ms or find("cc") is not None) and (not self.is_mixed or find("redis-server") is not None)

    def count(self, nodes: int, is_exact: bool) -> int:
        """How many copies each shard has."""
        return nodes if is_exact else nodes + self.spare

    def servers(self, count: int, server: str, folder: Path) -> VariousNodes:
        """The servers for shards of so many copies."""
        program = find_server(server)
        programs = [program] * count
        if self.is_mixed:
            programs[-1] = Path(str(find("redis-server")))
        for at, ahead in enumerate(self.ahead_ms[:count]):
            if ahead:
                programs[at] = program_with_clock(folder, programs[at], ahead)
        return VariousNodes(programs * self.shards)


POOLS: Final = {
    kind.name: kind
    for kind in (
        PoolKind("plain"),
        PoolKind("quorum", (("ack", "quorum"), ("read", "first")), spare=1),
        PoolKind("leader", (("ack", "leader"), ("read", "random"), ("hedge_ms", 1))),
        PoolKind("ring", (("read", "nearest"), ("hedge_ms", 1)), shards=2),
        PoolKind("clocks", (("read", "random"),), ahead_ms=(0, -400, 400), is_lazy=True),
        PoolKind("mixed", is_mixed=True),
    )
}


class RingOfCopies(RunningProxy):
    """A ring of copy pools, each with as many copies; the options are those of each of them, and ``shards``."""

    def _toml(self, mode: str, options: dict[str, Any]) -> str:
        """One listener, and a pool for each shard."""
        shards = options.pop("shards")
        count = len(self.urls) // shards
        lines = ["[proxy]", f"state_dir = {to_toml(str(self.folder / 'state'))}", "[pool.pool]"]
        names = [f"pool:shard-{at}" for at in range(shards)]
        lines += [f"listen = {to_toml(f'127.0.0.1:{self.port}')}", 'mode = "ring"', f"nodes = {to_toml(names)}"]
        for shard in range(shards):
            pool = {"mode": "copy", "nodes": self.nodes_of(range(shard * count, (shard + 1) * count)), **options}
            lines += [f"[pool.shard-{shard}]", *(f"{key} = {to_toml(value)}" for key, value in pool.items())]
        return "\n".join(lines) + "\n"

    def nodes_of(self, places: Sequence[int]) -> list[dict[str, str]]:
        """These nodes, as the file has them."""
        return [{"url": self.urls[at], "name": self.names[at]} for at in places]
