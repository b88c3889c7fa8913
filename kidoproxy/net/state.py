"""The record of which copies are behind: written, and on disk, before the first write that they miss is acknowledged.

One small JSON file per copy pool in the state directory. Without a directory nothing is recorded, and a
restarted proxy trusts the copy whose server has run longest.
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

    def read(self) -> list[str]:
        """The names that a former run knew to be behind."""
        if self.path is None:
            return []
        try:
            names = json.loads(self.path.read_text())["behind"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as problem:
            log.error("state unreadable: file=%s cause=%s", self.path, problem)
            return []
        return [str(name) for name in names]

    def write(self, group: CopyGroup) -> None:
        """Replace the record; it survives a crash of the machine. A failure is told, the pool serves on."""
        if self.path is None:
            return
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w") as file:
                json.dump({"behind": group.behind()}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as problem:
            log.error("state unwritable: file=%s cause=%s", self.path, problem)
