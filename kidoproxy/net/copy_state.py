"""The record of which copies are behind: on disk before the first write that they miss is acknowledged.

One small JSON file for each set of copies in the state directory: the names that are behind; the run ids of the
others, for a server that was restarted while no proxy ran may have lost its data; which of those behind may hold more
than the copy that had to be trusted; whose sync a person has ended; when the copies were scrubbed; and the connections
that carry the writes, for the next proxy to have them closed (`kidoproxy.upstream.fencing`). The file is named after
the nodes and not after the pool, so that two proxies, or a pool under a new name, cannot take one record for the
other's.

While a proxy lives it holds a lock on its records; a second one for the same copies does not start.

Without a directory nothing is recorded, and a restarted proxy trusts the copy whose server has run longest.
"""

import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from kidoproxy.net.logs import EventLogger
from kidoproxy.replication.group import CopyGroup

log = EventLogger("kidoproxy.copies")

#: Nobody but our own user needs to read which copies are behind.
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
#: A record is far smaller; a larger file is not read.
MAX_RECORD_BYTES: Final = 1024 * 1024


class StateLocked(OSError):
    """Another process, or another pool, keeps the record of these copies; the text says which."""


@dataclass(frozen=True)
class CopyRecord:
    """One file: the nodes (name to address), which of them are behind, the run ids of the others.

    ``may_hold_more`` and ``cancelled`` are names, too, see `Copy`; ``connections`` are run id and CLIENT ID by name,
    see `Node.last_connection`; of scrubs see `ScrubRecord`. Records of older versions do not have these.
    """

    pool: str
    nodes: dict[str, str]
    behind: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    may_hold_more: list[str] = field(default_factory=list)
    connections: dict[str, tuple[str, str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    scrub_done_ms: int = 0
    scrub_since_ms: int = 0

    @classmethod
    def of_group(cls, group: CopyGroup) -> "CopyRecord":
        """The state of ``group`` at this moment."""
        nodes = {copy.node.name: copy.node.address for copy in group.copies}
        behind = group.behind_names()
        runs = {name: run for name, run in group.run_ids.items() if name not in behind}
        may_hold_more = [copy.node.name for copy in group.copies if copy.may_hold_more]
        connections: dict[str, tuple[str, str]] = {}
        for copy in group.copies:
            run_id, client_id = copy.node.last_connection
            if run_id and client_id:
                connections[copy.node.name] = run_id.decode("latin-1"), client_id.decode("latin-1")
        cancelled = [copy.node.name for copy in group.copies if copy.is_sync_cancelled]
        scrubs = group.scrub.done_ms, group.scrub.since_ms
        return cls(group.name, nodes, behind, runs, may_hold_more, connections, cancelled, *scrubs)

    def restore(self, group: CopyGroup) -> None:
        """Tell ``group`` what it is to know before its first election."""
        group.run_ids = self.runs
        group.scrub.done_ms, group.scrub.since_ms = self.scrub_done_ms, self.scrub_since_ms
        for copy in group.copies:
            copy.may_hold_more = copy.node.name in self.may_hold_more
            copy.is_sync_cancelled = copy.node.name in self.cancelled
            run_id, client_id = self.connections.get(copy.node.name, ("", ""))
            copy.node.last_connection = run_id.encode("latin-1", "replace"), client_id.encode("latin-1", "replace")

    def encode(self) -> str:
        return json.dumps(asdict(self))

    def file_key(self) -> str:
        """16 hexadecimal digits that stand for these nodes, whatever their pool is called and their order is."""
        return hashlib.sha256(json.dumps(sorted(self.nodes.items())).encode()).hexdigest()[:16]

    def is_predecessor_of(self, other: "CopyRecord") -> bool:
        """Whether ``other`` is this pool after some, but not all, of its nodes got new addresses."""
        same = self.pool == other.pool and self.nodes.keys() == other.nodes.keys()
        return same and any(other.nodes[name] == address for name, address in self.nodes.items())


#: Why a record was not written that came too late.
RELEASED: Final = "released"


class StateFile:
    """The record of one copy pool. Without a folder every call does nothing."""

    def __init__(self, folder: Path | None, group: CopyGroup) -> None:
        self.group = group
        self.path = folder / f"copies-{CopyRecord.of_group(group).file_key()}.json" if folder is not None else None
        self._lock: int | None = None
        self.is_released = False

    def lock(self) -> None:
        """Keep other processes away for as long as this one lives. `StateLocked` when another holds the lock."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        except OSError as problem:
            log.error("state unwritable", file=self.path, cause=problem)
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 32).decode("latin-1").strip() or "?"
            os.close(fd)
            raise StateLocked(f"process {owner} serves these copies and keeps their record, {self.path}") from None
        except OSError as problem:
            # Some network file systems have no locks.
            os.close(fd)
            log.error("state not locked", file=self.path, cause=problem)
            return
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        self._lock = fd

    def is_locked(self) -> bool:
        """Whether somebody holds the lock now."""
        if self.path is None:
            return False
        try:
            fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(fd)
        return False

    def unlock(self) -> None:
        """Release the lock: the record is another process's from now on."""
        self.is_released = True
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> CopyRecord:
        """What a former run knew; a record that says nothing when there is none."""
        found = None
        if self.path is not None:
            found = read_record(self.path) or self._predecessor(self.path.parent)
        return found or CopyRecord("", {})

    def _predecessor(self, folder: Path) -> CopyRecord | None:
        """The record of the same pool before one of its nodes moved, or under its old name, after the pool."""
        current = CopyRecord.of_group(self.group)
        for path in sorted(folder.glob("copies-*.json")):
            previous = read_record(path)
            if previous is not None and previous.is_predecessor_of(current):
                log.info("state taken over", pool=current.pool, file=path)
                return previous
        previous = read_record(folder / f"{current.pool}.copies.json")
        if previous is not None and {*previous.behind, *previous.runs} <= current.nodes.keys():
            return previous
        return None

    def write(self, record: CopyRecord) -> str:
        """Replace the record; it survives a crash of the machine. Blocks. Why not (also logged), or empty."""
        if self.path is None:
            return ""
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            # Exclusively: what somebody else has put there, such as a symbolic link, is not written to.
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
            with os.fdopen(fd, "w") as file:
                file.write(record.encode())
                file.flush()
                os.fsync(file.fileno())
            if self.is_released:
                # The disk has hung: what another process has written since is newer, and so is its file.
                return RELEASED
            new.replace(self.path)
            fsync_folder(self.path.parent)
        except OSError as problem:
            log.error("state unwritable", file=self.path, cause=problem)
            return problem.strerror or str(problem)
        return ""


def read_record(path: Path) -> CopyRecord | None:
    """The record in ``path``; None when there is none. One that cannot be read is logged and ignored."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            text = file.read(MAX_RECORD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as problem:
        log.error("state unreadable", file=path, cause=repr(problem))
        return None
    return decode_record(text, path)


def decode_record(text: str | bytes, path: object) -> CopyRecord | None:
    """What `CopyRecord.encode` has written. One that cannot be understood is logged and ignored."""
    try:
        document = json.loads(text)
        behind = [str(name) for name in document["behind"]]
        runs = {str(name): str(run) for name, run in document.get("runs", {}).items()}
        nodes = {str(name): str(address) for name, address in document.get("nodes", {}).items()}
        may_hold_more = [str(name) for name in document.get("may_hold_more", [])]
        connections = {
            str(name): (str(run), str(number)) for name, (run, number) in document.get("connections", {}).items()
        }
        cancelled = [str(name) for name in document.get("cancelled", [])]
        scrubs = int(document.get("scrub_done_ms", 0)), int(document.get("scrub_since_ms", 0))
        pool = str(document.get("pool", ""))
        return CopyRecord(pool, nodes, behind, runs, may_hold_more, connections, cancelled, *scrubs)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        log.error("state unreadable", file=path, cause=repr(problem))
        return None


def fsync_folder(folder: Path) -> None:
    """A rename inside ``folder`` is on disk only after this."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
