"""Stories of one sync: two or three copies, ``b`` is behind, and the nodes answer when they are told to."""

from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_steps import SyncStep
from tests.story import client, copies, story
from tests.toy import ToyNodes


def two_copies(refill: bool) -> tuple[ToyNodes, Sync]:
    """Two copies, ``b`` is behind; both connections are there."""
    play = story(copies("a", "b", behind="b"))
    stage = ToyNodes(play)
    assert stage.say("SET warm up") == b"+OK\r\n"
    sync = Sync(play.executor, play.pool.groups[0], play.node("a"), play.node("b"), refill)
    sync.wall_ms = play.proxy.wall_ms
    return stage, sync


def hold_the_same(stage: ToyNodes) -> bool:
    """Whether both copies hold the same."""
    left, right = [{db: keys for db, keys in stage.toys[name].dbs.items() if keys} for name in "ab"]
    return left == right


def is_next_request(stage: ToyNodes, name: str, word: bytes) -> bool:
    """Whether the node's next request is this command, or a transaction that begins with it."""
    words = [one.raw.split(b"\r\n")[2] for one in stage.play.sent[name][:2]]
    return words[:1] == [word] or words == [b"MULTI", word]


def answer_until(stage: ToyNodes, name: str, word: bytes) -> None:
    """Let the nodes answer until this is asked of this one."""
    stage.play.settle()
    while not is_next_request(stage, name, word):
        for each in "ab":
            if not is_next_request(stage, name, word):
                stage.step(each)


def answer_until_first_compared(stage: ToyNodes) -> None:
    """Let the nodes answer until the first keys have been compared and the next ones are asked for."""
    answer_until(stage, "a", b"DUMP")
    answer_until(stage, "a", b"SCAN")


def fill_both(stage: ToyNodes) -> None:
    """Both hold the same three keys."""
    for toy in stage.toys.values():
        toy.dbs = {0: {b"k": b"1", b"l": b"2", b"m": b"3"}}


def answer_until_writes_are_awaited(stage: ToyNodes, sync: Sync) -> None:
    """Compared, but the source has not answered one write yet."""
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    client("SET k 9")(stage.play)
    stage.play.settle()
    while sync.step is not SyncStep.WAIT_FOR_WRITES:
        for name in "ab":
            stage.step(name)


def three_copies() -> tuple[ToyNodes, Sync]:
    """Three copies with the same keys, ``b`` is behind."""
    play = story(copies("a", "b", "c", behind="b"))
    stage = ToyNodes(play)
    assert stage.say("SET k 1") == b"+OK\r\n"
    fill_both(stage)
    return stage, Sync(play.executor, play.pool.groups[0], play.node("a"), play.node("b"), False)
