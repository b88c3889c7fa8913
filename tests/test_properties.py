"""Whatever the order, the losses and the bytes: what must hold of the whole core, tried by Hypothesis."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp.encode import array, bulk, encode_request, integer, null
from kidoproxy.resp.reply_reader import ReplyReader
from tests.story import Pool, Story, client, copies, lost, refused, ring, silence, story, tick
from tests.strategies import bent, commands
from tests.toy import ToyNodes

KEYS = [f"{{{tag}}}{number}" for tag in "abc" for number in range(3)]


def words(name: str, count: int) -> st.SearchStrategy[str]:
    """A command and so many keys."""
    return st.lists(st.sampled_from(KEYS), min_size=1, max_size=count).map(lambda keys: " ".join([name, *keys]))


def pairs() -> st.SearchStrategy[str]:
    """MSET of some keys."""
    pair = st.tuples(st.sampled_from(KEYS), st.sampled_from("xyz"))
    return st.lists(pair, min_size=1, max_size=5).map(lambda found: " ".join(["MSET", *[w for p in found for w in p]]))


REQUESTS = st.one_of(
    words("GET", 1),
    words("MGET", 5),
    words("DEL", 5),
    words("EXISTS", 5),
    words("TOUCH", 4),
    pairs(),
    st.sampled_from(KEYS).map(lambda key: f"APPEND {key} z"),
    st.just("PING"),
)


def heard(play: Story) -> bytes:
    """What the client was told."""
    play.settle()
    return play.client("me").received


def count(raw: bytes) -> int:
    """How many replies these are; all of them are whole."""
    reader = ReplyReader()
    reader.feed(raw)
    found = 0
    while reader.next() is not None:
        found += 1
    assert not reader.held_bytes()
    return found


class Model:
    """One dict, as one Redis would have it."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}

    def answer(self, request: str) -> bytes:
        """The reply of one Redis."""
        name, *rest = request.split(" ")
        args = [word.encode() for word in rest]
        keys = self.keys
        if name == "PING":
            return b"+PONG\r\n"
        if name == "MSET":
            keys.update(zip(args[::2], args[1::2], strict=True))
            return b"+OK\r\n"
        if name == "APPEND":
            keys[args[0]] = keys.get(args[0], b"") + args[1]
            return integer(len(keys[args[0]]))
        if name in ("GET", "MGET"):
            found = [bulk(keys[key]) if key in keys else null(2) for key in args]
            return array(found) if name == "MGET" else found[0]
        if name == "DEL":
            return integer(sum(keys.pop(key, None) is not None for key in args))
        return integer(sum(key in keys for key in args))


def pools() -> st.SearchStrategy[Pool]:
    """A ring, copies, or a ring of copies."""
    return st.sampled_from(["ring", "copies", "both"]).map(pool_of)


def pool_of(kind: str) -> Pool:
    """A new pool of this kind."""
    if kind == "ring":
        return ring("a", "b", "c")
    if kind == "copies":
        return copies("a", "b")
    return ring(copies("a", "d", name="a"), copies("b", "e", name="b"), "c")


@given(pools(), st.lists(REQUESTS, max_size=15), st.data())
def test_any_interleaving(pool: Pool, requests: list[str], data: st.DataObject) -> None:
    """Whichever node answers first, the client hears what one Redis would have said, in the order of its requests."""
    play = story(pool)
    stage = ToyNodes(play)
    model = Model()
    expected = b"".join([model.answer(request) for request in requests])
    for request in requests:
        client(request)(play)
        play.settle()
        for name in data.draw(st.lists(st.sampled_from(sorted(stage.toys)), max_size=3)):
            stage.step(name)
    while any(play.sent.values()):
        stage.step(data.draw(st.sampled_from(sorted(name for name, sent in play.sent.items() if sent))))

    assert heard(play) == expected
    alive = {key: value for toy in stage.toys.values() for key, value in toy.keys.items()}
    assert alive == model.keys


@given(pools(), st.lists(REQUESTS, max_size=12), st.data())
def test_any_loss(pool: Pool, requests: list[str], data: st.DataObject) -> None:
    """A connection that dies, a node that is silent, at any moment: every request is answered exactly once, in time."""
    play = story(pool)
    stage = ToyNodes(play)
    names = st.sampled_from(sorted(stage.toys))
    for request in requests:
        client(request)(play)
        play.settle()
        for name in data.draw(st.lists(names, max_size=2)):
            stage.step(name)
        what = data.draw(st.sampled_from(["nothing", "nothing", "lost", "refused", "late"]))
        name = data.draw(names)
        if what in ("lost", "refused"):
            play.sent[name].clear()
            (lost if what == "lost" else refused)(name)(play)
        elif what == "late":
            tick(0.6)(play)
    tick(3.0)(play)

    assert count(heard(play)) == len(requests)
    play.client("me").received = b""
    for sent in play.sent.values():
        sent.clear()
    tick(1.0)(play)
    for sent in play.sent.values():
        sent.clear()
    assert play << silence()


@given(
    st.lists(commands().map(encode_request), max_size=4).flatmap(
        lambda raws: bent(b"".join(raws)) | st.just(b"".join(raws))
    )
)
def test_any_bytes(data: bytes) -> None:
    """Any bytes of a client give replies, or one protocol error and the end; never anything else."""
    play = story(ring("a", "b"), shy=True)
    client(data)(play)
    # Each name that is not known is asked about, one after another, and nobody answers.
    tick(30.0)(play)
    raw = heard(play)

    assert count(raw) >= raw.count(b"-ERR Protocol error: ")
    assert play.client("me").closed == play.client("me").session.closing


@given(st.lists(REQUESTS, min_size=1, max_size=6), st.data())
def test_transactions(requests: list[str], data: st.DataObject) -> None:
    """A transaction over several nodes says, item by item, what the same commands would have said one by one."""
    play = story(ring("a", "b", "c"))
    stage = ToyNodes(play)
    for toy in stage.toys.values():
        toy.keys.update({b"{a}0": b"x"} if toy is stage.toys["a"] else {})
    model = Model()
    model.keys[b"{a}0"] = b"x"
    expected = [model.answer(request) for request in requests]
    client("MULTI", *requests, "EXEC")(play)
    play.settle()
    while any(play.sent.values()):
        stage.step(data.draw(st.sampled_from(sorted(name for name, sent in play.sent.items() if sent))))

    assert heard(play) == b"+OK\r\n" + b"+QUEUED\r\n" * len(requests) + array(expected)
