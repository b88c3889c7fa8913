"""The claim to copies, from the first handshake to the moment at which another proxy takes over."""

from kidoproxy.replication.election import make_trusted
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.owner_claim import ANSWER_SECONDS, PATIENCE_SECONDS
from kidoproxy.replication.owner_marks import OwnerMark
from kidoproxy.replication.ownership import Ownership
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.resp.encode import OK, bulk
from kidoproxy.upstream.states import DOWN, READY
from tests.greet import greet
from tests.replication.supervised import connect_all, logged, supervise
from tests.story import Story, copies, lost, tick
from tests.toy import ToyNodes

NOPERM = b"-NOPERM no\r\n"


def mark(proxy: str, term: int = 0, owner: bool = True) -> OwnerMark:
    made = OwnerMark("pool", proxy, 1, f"host-{proxy}", "machine", 7, 9)
    made.term, made.is_owner = term, owner
    return made


class Stage(ToyNodes):
    """Copies that are asked for other proxies; their toys show who else is there, if anybody is."""

    def __init__(self, take_over: bool = False, shy: bool = False) -> None:
        super().__init__(Story(copies("a", "b", elected=False), shy=shy))
        self.group: CopyGroup = self.play.pool.groups[0]
        self.ownership = Ownership(mark("me", owner=False), take_over, lambda other: other.proxy_id == "dead")
        self.group.ownership = self.ownership
        for toy in self.toys.values():
            toy.lies[b"CLIENT SETNAME"] = toy.lies[b"CLIENT KILL"] = OK
        self.show("ab")
        self.supervisor: CopySupervisor = supervise(self.play)

    def show(self, names: str, *marks: OwnerMark) -> None:
        """These nodes have these clients from now on."""
        rows = [b"id=%d addr=1.2.3.4:5 name=%b\n" % (50 + at, each.encode()) for at, each in enumerate(marks)]
        for name in names:
            self.play.client_lists[name] = b"".join(rows)
            self.toys[name].lies[b"CLIENT LIST"] = bulk(b"".join(rows))

    def start(self) -> "Stage":
        connect_all(self.play)
        self.pass_time(0.2)
        return self

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.run()
            tick()(self.play)
        self.run()

    def heard(self, name: str) -> list[bytes]:
        """What a node was told about clients."""
        return [request for request in self.toys[name].seen if request.startswith(b"CLIENT")]

    def refusal(self) -> bytes:
        return self.say("GET k")


def test_nobody_else() -> None:
    """All nodes get the name of an owner, are asked once more, and only then a copy is elected and read."""
    stage = Stage().start()
    name = stage.ownership.connection_name()
    assert name.startswith(b"kidoproxy-owner:0:1:me:")
    assert stage.heard("a") == stage.heard("b") == [b"CLIENT SETNAME " + name, b"CLIENT LIST"]
    assert stage.group.is_owner()
    assert stage.say("SET k v") == OK
    stage.pass_time(2)
    assert len(stage.heard("a")) == 2, "it is not asked again and again"


def test_another_owner_stays() -> None:
    """Its nodes are tried again for a while, then the pool is refused by one clear error; nothing was written."""
    stage = Stage()
    stage.show("a", mark("other"))
    stage.start()
    assert stage.play.connection("a").state == DOWN
    assert "process 7 on host-other" in stage.play.node("a").cause
    assert stage.ownership.yielded_to is None
    assert stage.supervisor.is_starting()
    stage.pass_time(PATIENCE_SECONDS)
    assert not stage.supervisor.is_starting()
    assert b"-NOREPLICAS nothing was sent: these copies are served by the kidoproxy of process 7" in stage.refusal()
    assert [line.split(":")[0] for line in logged(stage.supervisor)] == ["another proxy", "pool not served"]
    stage.show("a")
    stage.pass_time(3)
    assert b"NOREPLICAS" in stage.refusal(), "only a person knows whether it may serve now"
    assert [request for name in "ab" for request in stage.toys[name].seen if b"SET k" in request] == []
    assert stage.play.connection("a").state == READY


def test_another_owner_goes() -> None:
    """A proxy that was just restarted waits for what its last run has left."""
    stage = Stage()
    stage.show("ab", mark("other"))
    stage.start()
    stage.show("ab")
    stage.pass_time(PATIENCE_SECONDS)
    assert stage.say("SET k v") == OK


def test_what_a_dead_process_has_left() -> None:
    """It is closed, and nobody waits."""
    stage = Stage()
    stage.show("ab", mark("dead"))
    stage.start()
    assert b"CLIENT KILL ID 50" in stage.heard("a")
    assert stage.say("SET k v") == OK


def test_another_claim_that_shows_up_when_we_are_about_to_own() -> None:
    """Who goes first is asked for again until the time is over: of two that claim one must go on."""
    stage = Stage()
    connect_all(stage.play)
    stage.play.settle()
    for toy in stage.toys.values():
        toy.lies[b"CLIENT LIST"] = bulk(b"id=50 addr=x name=" + mark("him", owner=False).encode())
    stage.pass_time(0.3)
    assert not stage.group.is_owner()
    assert stage.ownership.connection_name().startswith(b"kidoproxy-claim:")
    stage.show("ab")
    stage.pass_time(0.6)
    assert stage.group.is_owner()


def test_take_over() -> None:
    """The other one is closed at every node, after these know who goes before it."""
    stage = Stage(take_over=True)
    stage.show("ab", mark("other", 3))
    stage.start()
    name = stage.ownership.connection_name()
    assert name.startswith(b"kidoproxy-owner:4:")
    for node in "ab":
        heard = stage.heard(node)
        assert heard.index(b"CLIENT SETNAME " + name) < heard.index(b"CLIENT KILL ID 50")
    assert stage.group.is_owner()
    assert stage.say("SET k v") == OK


def test_being_taken_over() -> None:
    """At the first handshake that shows the other one the pool is refused, before anything else is sent there."""
    stage = Stage().start()
    assert stage.say("SET k v") == OK
    stage.show("ab", mark("him", 1))
    lost("a")(stage.play)
    stage.play.settle()
    assert b"NOREPLICAS" in stage.refusal()
    stage.pass_time(0.2)
    assert stage.heard("b")[-1] == b"CLIENT SETNAME ", "nobody takes it for an owner any more"
    problem, lines = stage.supervisor.run_sync_command(stage.play.node("b"), "trust")
    assert (problem, lines) == ("another proxy may serve these copies; see the log", [])
    stage.pass_time(2)
    assert b"NOREPLICAS" in stage.refusal()


def test_a_census_that_ends_after_the_copies_were_lost() -> None:
    """It elects nobody."""
    stage = Stage().start()
    stage.group.lose_trust(stage.play.node("a"))
    tick()(stage.play)
    stage.ownership.yield_to(mark("him", 1))
    stage.group.lose_ownership()
    stage.run()
    assert not stage.group.elected


def test_a_later_owner_at_a_node_that_was_away() -> None:
    """It is closed, so that it sees who goes first; this proxy goes on."""
    stage = Stage().start()
    stage.show("a", mark("zoe"))
    lost("a")(stage.play)
    stage.pass_time(0.2)
    assert b"CLIENT KILL ID 50" in stage.heard("a")
    assert stage.group.is_owner()
    assert stage.ownership.sightings == 1


def test_a_user_that_may_not_close() -> None:
    """PROXY NODES says so; the pool is served, for the other one yields when it connects again."""
    stage = Stage()
    stage.show("a", mark("dead"))
    stage.toys["a"].lies[b"CLIENT KILL"] = NOPERM
    stage.start()
    assert stage.play.node("a").cause == "it does not close what another proxy has open: NOPERM no"
    assert stage.say("SET k v") == OK


def test_closing_is_lost_with_the_connection() -> None:
    """The next one looks for them again."""
    stage = Stage()
    stage.show("a", mark("dead"))
    connect_all(stage.play)
    stage.play.settle()
    lost("a")(stage.play)
    stage.play.sent["a"].clear()
    stage.pass_time(0.5)
    assert stage.heard("a").count(b"CLIENT KILL ID 50") >= 1


def test_a_user_that_may_not_look() -> None:
    """It is said in the log, and the pool is served."""
    stage = Stage()
    for toy in stage.toys.values():
        toy.lies[b"CLIENT SETNAME"] = toy.lies[b"CLIENT LIST"] = NOPERM
    stage.start()
    assert stage.say("SET k v") == OK
    assert sum("owner unknown" in line for line in logged(stage.supervisor)) == 2


def test_a_node_that_says_nothing() -> None:
    """The others are claimed after a while; it is given its name when it is there."""
    stage = Stage(shy=True)
    connect_all(stage.play)
    stage.play.connect(stage.play.connection("a"))
    stage.play.greet(stage.play.connection("a"))
    stage.pass_time(ANSWER_SECONDS - 0.2)
    assert not stage.group.is_owner()
    stage.pass_time(0.4)
    assert stage.group.is_owner()
    stage.play.connect(stage.play.connection("b"))
    stage.play.greet(stage.play.connection("b"))
    stage.pass_time(0.2)
    assert stage.play.connection("b").announced_name == stage.ownership.connection_name()
    assert stage.heard("b") == [], "its handshake has said it all"


def test_a_node_that_is_lost_on_the_way() -> None:
    """What it would have shown counts for nothing: nobody owns copies that nobody reaches."""
    stage = Stage()
    connect_all(stage.play)
    stage.play.settle()
    tick()(stage.play)
    for name in "ab":
        stage.play.sent[name].clear()
        lost(name)(stage.play)
    assert not stage.group.is_owner()
    stage.pass_time(1)
    assert stage.group.is_owner()


def test_without_ownership_nobody_is_asked() -> None:
    """A group that is not told to look for others is served as it is, and has nothing to lose."""
    stage = Stage()
    stage.group.ownership = None
    stage.start()
    assert stage.heard("a") == []
    make_trusted(stage.group, stage.group.copies[0])
    stage.group.lose_ownership()
    assert stage.group.elected


def test_a_living_owner_that_may_not_be_closed() -> None:
    """A take-over ends there: two would write. What is missing is said."""
    stage = Stage(take_over=True)
    stage.show("a", mark("other"))
    stage.toys["a"].lies[b"CLIENT KILL"] = NOPERM
    stage.start()
    assert not stage.group.is_owner()
    assert stage.ownership.yield_reason == "a does not close its connection (NOPERM no)"
    assert b"NOREPLICAS" in stage.refusal()


def test_a_living_owner_that_may_not_be_closed_at_a_node_that_comes_later() -> None:
    """That node is not used."""
    stage = Stage().start()
    stage.show("a", mark("zoe"))
    stage.toys["a"].lies[b"CLIENT KILL"] = NOPERM
    lost("a")(stage.play)
    stage.play.settle()
    stage.run()
    assert stage.play.connection("a").state == DOWN
    assert "process 7 on host-zoe" in stage.play.node("a").cause
    assert "writes to it, and may not be closed: NOPERM no" in stage.play.node("a").cause


def test_all_connections_were_lost_at_one_time() -> None:
    """The copies are claimed anew; one who serves them by then goes on, however late it started."""
    stage = Stage().start()
    for name in "ab":
        lost(name)(stage.play)
    stage.pass_time(0.3)
    assert stage.group.is_owner()
    stage.show("ab", mark("zoe"))
    for name in "ab":
        lost(name)(stage.play)
    stage.pass_time(PATIENCE_SECONDS)
    assert stage.ownership.yielded_to is not None
    assert b"process 7 on host-zoe" in stage.refusal()


def test_very_many_clients() -> None:
    """A list of many megabytes is read as it comes, in the handshake and later, and never held."""
    stage = Stage(shy=True)
    play, connection = stage.play, stage.play.connection("a")
    clients = b"id=1 addr=1.1.1.1:1 name=worker age=0\n" * 20_000
    clients += b"id=50 addr=1.2.3.4:5 name=" + mark("zoe", owner=False).encode() + b"\n"

    def answer(raw: bytes) -> int:
        """The node sends this in pieces; how much of it was held at most."""
        held = 0
        for at in range(0, len(raw), 65_536):
            connection.feed(raw[at : at + 65_536], play.executor.now)
            held = max(held, connection.reader.held_bytes())
        return held

    connection.start_connecting()
    play.connect(connection)
    assert answer(greet(connection, play.info("a"), 1, clients)) < 65_536
    play.settle()
    assert stage.ownership.sightings == 1
    while not any(one.raw.endswith(b"LIST\r\n") for one in play.sent["a"]):
        play.sent["a"].clear()
        tick()(play)
        play.settle()
    assert answer(OK * (connection.in_flight_count() - 1) + bulk(clients)) < 65_536
    assert stage.ownership.sightings == 2
