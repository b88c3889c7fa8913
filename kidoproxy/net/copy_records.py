"""The records of all copy pools, written by a thread for each: the loop never waits for the disk.

The thread writes the newest record, then `Durability.on_recorded` lets the acknowledgements go that waited for it. If
it cannot be written, that is tried again about once a second, for no acknowledgement may leave without it.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from kidoproxy.net.copy_state import CopyRecord, StateFile, StateLocked, decode_record
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.logs import EventLogger
from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp.limits import RECORD_DURABLE_SECONDS

log = EventLogger("kidoproxy.copies")

#: A record that could not be written is tried again after this, or when there is a newer one.
RETRY_SECONDS: Final = 1.0


class StateWriter:
    """A thread that puts the newest record of a group on disk while the loop goes on.

    ``call_on_loop`` runs a callback on the loop's thread. The thread is a daemon: a disk that hangs does not keep the
    process from ending.
    """

    def __init__(self, file: StateFile, call_on_loop: Callable[[Callable[[], None]], object]) -> None:
        self.file = file
        self.call_on_loop = call_on_loop
        self.queue: SimpleQueue[tuple[int, CopyRecord] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._write_records, name=f"state-{file.group.name}", daemon=True)
        self.thread.start()

    def submit(self, group: CopyGroup) -> None:
        """Have the state of ``group`` at this moment written; it is the journal of the group."""
        self.queue.put((group.durability.latest_version, CopyRecord.of_group(group)))

    def finish(self) -> None:
        """Write what is still to be written, then end."""
        self.queue.put(None)

    def close(self, seconds: float) -> None:
        """Finish, wait for that at most ``seconds``, then release the lock."""
        self.finish()
        self.thread.join(seconds)
        if self.thread.is_alive() and not self.file.is_released:
            log.error("state not written in time", file=self.file.path)
        self.file.unlock()

    def _write_records(self) -> None:
        durability = self.file.group.durability
        job = self._newest_job(None)
        while job is not None:
            version, record = job
            problem = self.file.write(record)
            on_failed, on_recorded = durability.on_record_failed, durability.on_recorded
            try:
                self.call_on_loop(partial(on_failed, problem) if problem else partial(on_recorded, version))
            except RuntimeError:
                # The loop has ended, and with it whatever waited for the record.
                return
            job = self._newest_job(job if problem else None)

    def _newest_job(self, failed_job: tuple[int, CopyRecord] | None) -> tuple[int, CopyRecord] | None:
        """The next one to write, when there is one: the failed one again after a while, if there is none newer."""
        try:
            job = self.queue.get(timeout=RETRY_SECONDS if failed_job is not None else None)
        except Empty:
            return failed_job
        while job is not None and not self.queue.empty():
            later = self.queue.get()
            if later is None:
                self.queue.put(None)
                break
            job = later
        return job


class CopyRecords:
    """The records of all copy pools of this process."""

    def __init__(self, folder: Path | None, bridge: LoopBridge) -> None:
        self.folder = folder
        self.bridge = bridge
        self.writers: list[StateWriter] = []
        #: What the process knew that this one replaces, by `CopyRecord.file_key`: as new as what is on disk.
        self.inherited: dict[str, str] = {}
        #: Until when `close` waits for the disk, by the monotonic clock; 0.0 before it is called.
        self.close_deadline = 0.0

    def start_recording(self, group: CopyGroup) -> list[str]:
        """From now on the state of ``group`` is on disk; the names that a former run knew to be behind.

        `StateLocked` when another process, or another pool of this one, does that already.
        """
        state = StateFile(self.folder, group)
        for writer in self.writers:
            if writer.file.path == state.path:
                other = writer.file.group.name
                raise StateLocked(f'its nodes are those of pool.{other}: use mode = "ring", nodes = ["pool:{other}"]')
        state.lock()
        inherited = self.inherited.get(CopyRecord.of_group(group).file_key())
        record = (decode_record(inherited, "of the former process") if inherited else None) or state.read()
        record.restore(group)
        if state.path is not None:
            writer = StateWriter(state, self._call_on_loop)
            group.journal = writer.submit
            self.writers.append(writer)
        return record.behind

    def close(self) -> None:
        """Write what is still to be written, and release the records.

        However many there are, and however often it is called: a disk that hangs holds up the end of the process once.
        """
        self.close_deadline = self.close_deadline or time.monotonic() + RECORD_DURABLE_SECONDS
        for writer in self.writers:
            writer.finish()
        for writer in self.writers:
            writer.close(max(self.close_deadline - time.monotonic(), 0.0))

    def _call_on_loop(self, callback: Callable[[], object]) -> None:
        self.bridge.loop.call_soon_threadsafe(self._run_callback, callback)

    def _run_callback(self, callback: Callable[[], object]) -> None:
        # What waited for the disk continues with a clock that is right.
        self.bridge.update_clock()
        callback()
        self.bridge.schedule_flush()
