"""Servers of several programs: each copy may be another version, or have another clock."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kidoproxy.admin.embedded import EmbeddedNodes


class VariousNodes(EmbeddedNodes):
    """Nodes of which each has a program of its own, whatever `start` is told."""

    def __init__(self, programs: Sequence[Path]) -> None:
        super().__init__()
        self.programs = list(programs)

    def _spawn(self, index: int, args: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        self._program = self.programs[index]
        return super()._spawn(index, args)
