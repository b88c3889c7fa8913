"""Some keys from one node to another while writes go on: what is asked, what is written, what is held back."""

import pytest

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.source_proof import Proof
from kidoproxy.replication.transfer import Transfer
from tests.story import copies, story


def test_a_transfer_without_a_callback() -> None:
    """A transfer that was not begun calls nobody; a callback must say what it does."""
    play = story(copies("a", "b"))
    proof = Proof(play.pool.groups[0], play.connection("a"), play.connection("b"))
    transfer = Transfer(play.executor, proof, 0, [b"k"], False, 0)
    transfer.finish("over")
    assert transfer.problem == "over"
    with pytest.raises(NotImplementedError):
        BatchReply(Callback(), 1).set_reply(0, b"")
