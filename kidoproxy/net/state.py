"""The record of which copies are behind: written, and on disk, before the first write that they miss is acknowledged.

One small JSON file per copy pool in the state directory: the names that are behind, and the run ids of the
others, for a server that was restarted while nobody looked may have lost its data. Without a directory nothing
is recorded, and a restarted proxy trusts the copy whose server has run longest.
"""

import json
import logging
import os
from pathlib import Path

from kidoproxy.routes.topology import CopyGroup

log = logging.getLogger("kidoproxy.copies")


class StateFile:
    """The record of one pool."""

    def __init__(self, folder: Path | None, pool: str) -> None:
        self.path = folder / f"{pool}.copies.json" if folder is not None else None

    def read(self) -> tuple[list[str], dict[str, str]]:
        """The names that a former run knew to be behind, and the run ids of the others by name."""
        if self.path is None:
            return [], {}
        try:
            whole = json.loads(self.path.read_text())
            behind = [str(name) for name in whole["behind"]]
            return behind, {str(name): str(run) for name, run in whole.get("runs", {}).items()}
        except FileNotFoundError:
            return [], {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            log.error("state unreadable: file=%s cause=%r", self.path, problem)
            return [], {}

    def write(self, group: CopyGroup) -> None:
        """Replace the record; it survives a crash of the machine. A failure is told, the pool serves on."""
        if self.path is None:
            return
        behind = group.behind()
        runs = {name: run for name, run in group.runs.items() if name not in behind}
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w") as file:
                json.dump({"behind": behind, "runs": runs}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            keep_names(self.path.parent)
        except OSError as problem:
            log.error("state unwritable: file=%s cause=%s", self.path, problem)


def keep_names(folder: Path) -> None:
    """That a file in ``folder`` has a new name must be on disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
