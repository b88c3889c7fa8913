"""Lines of clients that wait for keys: whose turn it is, without any node."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.waiters import Waiter, Waiters, Wakeup


class Hall:
    """Waiters by name; `sent` has the attempts that are open, in their order."""

    def __init__(self) -> None:
        self.waiters = Waiters()
        self.sent: list[str] = []
        self.by_name: dict[str, Waiter] = {}

    def join(self, name: str, *keys: bytes, consumer_group: bytes = b"") -> None:
        """Somebody comes."""
        self.by_name[name] = Waiter(lambda: self.sent.append(name))
        self.waiters.join(self.by_name[name], 0, list(keys) or [b"k"], consumer_group)

    def settle(self, *names: str) -> None:
        """These come, and find nothing."""
        for name in names:
            self.join(name)
            self.nothing(name)

    def nothing(self, name: str) -> None:
        """An attempt finds nothing."""
        self.sent.remove(name)
        self.waiters.found_nothing(self.by_name[name])

    def served(self, name: str) -> None:
        """An attempt finds something."""
        self.sent.remove(name)
        self.waiters.leave(self.by_name[name], True)

    def push(self, count: int, key: bytes = b"k") -> None:
        """A write adds so many elements; 0: nobody knows."""
        self.waiters.wake(Wakeup([0], [key], count, False))


def test_bursts_grow() -> None:
    """After each burst that was served whole twice as many attempt; a failure begins with one again."""
    hall = Hall()
    hall.settle(*"abcdefgh")
    hall.push(0)
    bursts = []
    while hall.sent:
        bursts.append("".join(hall.sent))
        for name in hall.sent[:]:
            if name in "gh":
                hall.nothing(name)
            else:
                hall.served(name)
    assert bursts == ["a", "bc", "defg", "g"]
    hall.push(0)
    assert hall.sent == ["g"]


def test_a_known_number_attempts_together() -> None:
    """As many as there are new elements, or as there are waiters; more pushes let more attempt."""
    hall = Hall()
    hall.settle(*"abcd")
    hall.push(2)
    hall.push(1)
    assert hall.sent == list("abc")
    hall.push(5)
    assert hall.sent == list("abcd")


def test_an_unknown_number_holds_back_what_is_known() -> None:
    """Behind an attempt that may find nothing nobody else is sent: the same waiter would still be first."""
    hall = Hall()
    hall.settle(*"abcd")
    hall.push(0)
    hall.push(3)
    assert hall.sent == ["a"]
    hall.nothing("a")
    assert hall.sent == ["a"]
    hall.served("a")
    assert hall.sent == ["b", "c"]


def test_newcomers() -> None:
    """They attempt at once, also behind other newcomers, unless somebody who was there may still be served."""
    hall = Hall()
    hall.join("a")
    hall.join("b")
    assert hall.sent == ["a", "b"]
    hall.push(1)
    hall.join("c")
    assert hall.sent == ["a", "b"]
    hall.nothing("a")
    hall.nothing("b")
    assert hall.sent == ["a"]
    hall.join("d", b"other")
    assert hall.sent == ["a", "d"]
    hall.nothing("a")
    assert hall.sent == ["d", "c"]
    hall.nothing("c")
    assert hall.sent == ["d"]


def test_a_newcomer_to_two_lines() -> None:
    """It lets others go first in all of its lines."""
    hall = Hall()
    for name, key in (("a", b"k"), ("a2", b"k"), ("b", b"l"), ("b2", b"l")):
        hall.join(name, key)
        hall.nothing(name)
    hall.push(0, b"k")
    hall.push(0, b"l")
    hall.join("c", b"k", b"l")
    hall.nothing("a")
    assert hall.sent == ["b"]
    hall.nothing("b")
    assert hall.sent == ["c"]
    hall.nothing("c")
    assert hall.sent == []


def test_nothing_stays_of_those_who_leave() -> None:
    """Who waits no more is forgotten, in many lines or in long ones."""
    hall = Hall()
    names = [str(number) for number in range(50)]
    hall.settle(*names)
    hall.join("tried", b"k", b"l", b"k", consumer_group=b"g")
    assert hall.waiters.waited_for() == ({}, [(0, b"k"), (0, b"l")])
    for name in names[1:]:
        hall.waiters.leave(hall.by_name[name], False)
    assert [len(line.waiters) for line in hall.waiters.lines[0, b"k"]] == [16, 1]
    hall.push(2)
    assert hall.sent == ["tried", "0"]
    hall.served("tried")
    hall.served("0")
    assert hall.waiters.lines == {}
    assert (hall.waiters.count, hall.waiters.places_bytes) == (0, 0)


def test_a_write_to_any_key() -> None:
    """It is told to whoever can look, while somebody waits."""
    hall = Hall()
    told: list[int] = []
    any_key = Wakeup([0], [], 0, True)
    hall.settle("a")
    hall.waiters.wake(any_key)
    hall.waiters.on_unknown_write = lambda: told.append(1)
    hall.waiters.wake(any_key)
    hall.waiters.leave(hall.by_name["a"], False)
    hall.waiters.wake(any_key)
    assert told == [1]


class Server:
    """A list of one key, served over a connection: what is sent is done in order, and answered later."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.elements = 0
        #: What was sent and is not answered yet: the waiter, and whether it found something.
        self.open: list[tuple[str, bool]] = []
        self.order: list[str] = []

    def run(self) -> None:
        """Do what has been sent."""
        for name in self.hall.sent[len(self.open) :]:
            found = self.elements > 0
            self.elements -= found
            self.open.append((name, found))

    def answer(self) -> None:
        """The oldest attempt has its answer."""
        if self.open:
            name, found = self.open.pop(0)
            if found:
                self.order.append(name)
                self.hall.served(name)
            else:
                self.hall.nothing(name)
            self.run()


EVENTS = st.lists(st.sampled_from(["join", "push", "push2", "some", "none", "steal", "answer", "answer"]), max_size=60)


@given(EVENTS)
def test_first_come_first_served(events: list[str]) -> None:
    """Whatever happens in whatever order: who came first is served first, and nobody waits beside an element."""
    hall = Hall()
    server = Server(hall)
    joined = 0
    for event in events:
        if event == "join":
            hall.join(str(joined))
            joined += 1
        elif event == "answer":
            server.answer()
        elif event == "steal":
            server.elements = max(0, server.elements - 1)
        else:
            count = {"push": 1, "push2": 2, "some": 2, "none": 0}[event]
            server.elements += count
            hall.push(0 if event in ("some", "none") else count)
        server.run()
    while server.open:
        server.answer()
    assert server.order == sorted(server.order, key=int)
    assert server.elements == 0 or hall.waiters.count == 0
