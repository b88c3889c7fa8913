"""Brings one copy to the same content as the others while writes go on, then lets it in.

The order of events (`sync_steps` has the drawing, `sync_pass` the steps of one pass, `sync_state` what a sync knows):

1. Prove that the source may decide (`source_proof`); nothing is deleted or overwritten before that.
2. If `--refill` was given, empty the target. A target that is empty anyway is filled in a pass that compares nothing
   but the keys that were written meanwhile.
3. Compare in passes: SCAN the source and compare every key, SCAN the target for keys that the source does not have,
   then check again the keys that writes have touched meanwhile (a scan may miss them, or a half-filled copy may have
   executed those differently). A pass that has found a difference, or missed a write, is followed by another.
4. After a pass without a difference wait until the outcome of every write under way is known: had the source missed
   one, it would have left the in-sync set. Keys whose write the target has answered differently are compared. Then
   the target is in sync.

Why this ends: the target gets all writes in the same order from the start, so a key that was once equal stays equal.
DUMP and RESTORE travel on the connections that carry those writes; everything else is asked on connections of the
sync's own. The values that travel at one time are bounded in bytes.

Two equal values may have different DUMPs: a set may be stored in another order, a hash in another encoding. A key that
was copied in this sync is right by construction, and so is a touched one that was checked again: if such a key still
looks different it is copied once more, and does not count as a difference.
"""

from typing import final

from kidoproxy.replication.batch import BatchReply, send_requests
from kidoproxy.replication.group import SYNCING
from kidoproxy.replication.parse_replies import first_error
from kidoproxy.replication.source_proof import Proof, SourceVerifier
from kidoproxy.replication.sync_pass import SyncPass
from kidoproxy.replication.sync_steps import SyncStep


@final
class Sync(SyncPass):
    """Begins, proves the source, empties the target if requested, and hands each reply to the step it is for."""

    def begin(self) -> None:
        """From here on the target is *syncing*."""
        copy = self.group.copy_of(self.target)
        copy.state = SYNCING
        copy.sync_progress = self.pace
        self.group.touched_keys = {}
        # What is sent before both have answered to the proof has been executed before the target is found to be empty.
        self.group.touches_single_keys = True
        self.group.unknown_keys_touched = False
        self.start_proof(SyncStep.EMPTY if self.refill else SyncStep.LIST_DATABASES)

    def on_done(self, batch_reply: BatchReply) -> None:
        """The reply is there, or has failed; one that comes after the end changes nothing."""
        if self.step is SyncStep.DONE:
            return
        self.progress_at = self.executor.now
        problem = batch_reply.problem
        # Not every user may ask for sizes, they can be guessed; and a database may be missing.
        if not problem and self.step not in (SyncStep.SIZE, SyncStep.SELECT):
            problem = first_error(batch_reply.replies)
        if problem:
            self.finish(problem)
        elif self.prover is not None:
            self.on_proved(self.prover)
        elif self.large_string is not None:
            self.on_large_copied(self.large_string)
        elif self.transfer is not None:
            self.on_transferred(self.transfer)
        else:
            self.on_replies(batch_reply.replies)

    def on_replies(self, replies: list[bytes]) -> None:
        if self.step is SyncStep.EMPTY:
            self.begin_pass()
        elif self.step is SyncStep.LIST_DATABASES:
            self.on_listed(replies)
        elif self.step is SyncStep.SELECT:
            self.on_selected(replies)
        elif self.step is SyncStep.CHECK_LEFTOVERS:
            self.on_leftovers_checked(replies)
        elif self.step is SyncStep.SIZE:
            self.on_sized(replies)
        else:
            self.on_scanned(replies[0])

    def on_proved(self, prover: SourceVerifier) -> None:
        """Go on with what needed the proof, unless the source may have lost data since an earlier one."""
        self.prover = None
        proof, previous_proof = prover.proof, self.proof
        if previous_proof is not None and previous_proof.source_may_have_lost_data(proof):
            self.finish(f"{self.source.name} was lost, or restarted, meanwhile")
            return
        self.proof = proof
        if self.step_after_proof is SyncStep.EMPTY:
            self.flush_target(proof)
        elif self.step_after_proof is SyncStep.LIST_DATABASES:
            self.begin_pass()
        else:
            self.copy_batch(proof)

    def flush_target(self, proof: Proof) -> None:
        """FLUSHALL, requested with --refill, behind the writes that the target has got so far."""
        self.move_to(SyncStep.EMPTY)
        refusal = proof.write_refusal(self.executor.now)
        if refusal:
            self.finish(refusal)
        else:
            self.group.fill_begins(self.target)
            send_requests(
                proof.target_connection, BatchReply(self, 1), 0, [[b"FLUSHALL", b"ASYNC"]], 0, self.executor.now
            )
