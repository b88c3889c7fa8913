"""Turns of the loop over a stage, one at a time: to see how much is done in each."""

from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from tests.session.stage import InMemoryProxy


def turn(stage: InMemoryProxy) -> None:
    """One turn of the loop, as `kidoproxy.net.flush` makes it: the next slices, and no more."""
    turn = stage.executor.turn_work
    turn.spent_units = 0
    turn.jobs.step_all(lambda: False)
    drained, turn.to_resume = turn.to_resume, []
    for session in stage.proxy.sessions.values():
        if session.replies in drained:
            session.resume()


def finished(stage: InMemoryProxy) -> int:
    """The turns that it takes until nothing is left to do."""
    turns = 0
    while stage.executor.turn_work.jobs.queue or stage.executor.turn_work.to_resume:
        turn(stage)
        turns += 1
    return turns


def asked(stage: InMemoryProxy, name: str, reply: bytes | None) -> list[list[bytes]]:
    """The requests that went to the node since last time; it sends ``reply`` if there were any."""
    conn = stage.connection(name)
    reader = RequestReader(RequestLimits())
    reader.feed(b"".join(conn.take_output()))
    found = []
    while (request := reader.next()) is not None:
        found.append(request.argv)
    if found and reply is not None:
        conn.feed(reply, 0.0)
    return found
