"""What the workers share in memory."""

import os

from kidoproxy.net.shared_memory import ClientIds


def test_the_last_id_of_a_process_that_is_gone() -> None:
    """Each worker has its own; the parent, and so whoever it forks next, sees it."""
    ids = ClientIds(3)
    pid = os.fork()
    if not pid:
        ids.note(1, 2**63)
        os._exit(0)
    os.waitpid(pid, 0)
    assert [ids.last(worker) for worker in range(3)] == [0, 2**63, 0]
