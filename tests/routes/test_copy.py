"""A copy pool: what is broadcast, what is read where, what is refused. The dialogues are in test_executor."""

from kidoproxy.commands.find import find
from kidoproxy.commands.stream_writes import ADD_ENTRY
from kidoproxy.resp import errors
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.plan import AwaitTurn, DirectReply, Gather, LeaderFirst, Plan, Send
from kidoproxy.routes.read_order import READ_FIRST, READ_LEADER, READ_RANDOM
from kidoproxy.routes.route import RequestContext, WallClock
from tests.replication.test_key_turns import Recorded
from tests.story import Pool, client, copies, led_by, story, unheard


def planned(route: CopyPool, text: str, in_multi: bool = False, each: bool = False) -> Plan:
    """The plan of a request written as words."""
    argv = [word.encode() for word in text.split(" ")]
    spec = find(argv)
    assert spec is not None
    return route.plan(
        spec, Request(argv, encode_request(argv)), RequestContext(0, 2, in_multi, each, WallClock(1_000_000))
    )


def pool(order: int = READ_LEADER, behind: str = "") -> tuple[Pool, CopyPool]:
    """Three copies."""
    found = copies("a", "b", "c", behind=behind)
    return found, CopyPool("pair", found.groups[0], order)


def test_reads() -> None:
    """The key's leader and then the others; in a transaction, and without a key, the first of the list."""
    three, route = pool()
    key = led_by(three, "b")
    assert repr(planned(route, f"GET {key}")).startswith("b else ")
    assert repr(planned(route, f"GET {key}", in_multi=True)) == "a"
    assert repr(planned(route, "DBSIZE")) == "a else b else c"
    assert repr(planned(route, "INFO")) == "[a else b else c]"
    assert repr(planned(route, f"GET {key}", each=True)).startswith("[b, ")
    assert repr(planned(CopyPool("one", copies("a").groups[0]), "GET k")) == "a else a"


def test_key_scans() -> None:
    """HSCAN goes on at the copy where it began; if that is not in sync any more it does not go on."""
    three, route = pool()
    key = led_by(three, "b")
    begun = planned(route, f"HSCAN {key} 0 COUNT 5")
    assert isinstance(begun, Gather)
    assert begun.scan_step is not None
    assert (repr(begun), begun.scan_step.cursor_id, begun.scan_step.next_cursor_id) == ("[b]", 2, 0)
    cursor = 7 << 24 | 3
    on = planned(route, f"SSCAN {key} {cursor}")
    assert isinstance(on, Gather)
    assert isinstance(on.plans[0], Send)
    assert (repr(on), on.plans[0].payload) == ("[c]", encode_request([b"SSCAN", key.encode(), b"7"]))
    three.groups[0].mark_behind([three.nodes[2]])
    for text in (f"ZSCAN {key} {cursor}", f"ZSCAN {key} nonsense"):
        refused = planned(route, text)
        assert isinstance(refused, DirectReply)
        assert refused.frame == b"-ERR invalid cursor\r\n"


def test_read_orders() -> None:
    """``first`` reads one copy as long as it lives, ``random`` all of them as often; both ask the others after it."""
    _, route = pool(READ_FIRST)
    assert [repr(planned(route, f"GET k{at}")) for at in range(3)] == ["a else b else c"] * 3
    _, route = pool(READ_RANDOM)
    firsts = ""
    for _ in range(6):
        firsts += repr(planned(route, "GET k"))[0]
        route.group.read_count += 1
    assert sorted(firsts) == ["a", "a", "b", "b", "c", "c"]
    assert repr(planned(route, "DBSIZE")) == "a else b else c"


def test_writes() -> None:
    """All in-sync copies, leader first; the others are not waited for; relative expiry is made absolute."""
    three, route = pool(behind="c")
    key = led_by(three, "b")
    plan = planned(route, f"SET {key} x EX 5")
    assert isinstance(plan, Gather)
    assert plan.write is not None
    assert plan.write.written_keys == [key.encode()]
    payloads = [part.payload for part in plan.plans if isinstance(part, Send)]
    assert [payloads[0], plan.write.unawaited_payload] == [
        encode_request([b"SET", key.encode(), b"x", b"PXAT", b"1005000"])
    ] * 2
    assert [node.name for node in plan.write.unawaited_nodes] == ["c"]
    odd = planned(route, f"SET {key} x EX nonsense")
    assert isinstance(odd, Gather)
    assert odd.write is not None
    assert odd.write.unawaited_payload is None


def test_writes_to_streams() -> None:
    """All copies get the same id, by a script that finds a later one where there must be one; trimming is exact."""
    _, route = pool()
    for text, wanted in (
        ("XADD k * f v", [b"EVAL", ADD_ENTRY, b"1", b"k", b"2", b"1000000-0", b"f", b"v"]),
        ("XTRIM k MAXLEN ~ 5", [b"XTRIM", b"k", b"MAXLEN", b"=", b"5"]),
        ("XADD k 1-1 f v", None),
    ):
        plan = planned(route, text)
        assert isinstance(plan, Gather)
        payloads = [part.payload for part in plan.plans if isinstance(part, Send)]
        assert payloads == [encode_request(wanted) if wanted is not None else None] * 3


def test_refusals() -> None:
    """What depends on chance or time is refused with the reason; scripts are decided by what they call."""
    _, route = pool()
    files = planned(route, "WAITAOF 1 1 0")
    assert isinstance(files, DirectReply)
    assert files.frame.startswith(b"-ERR 'waitaof' is not served here: ")
    fcall = planned(route, "FCALL f 0")
    assert isinstance(fcall, DirectReply)
    assert fcall.frame.startswith(b"-ERR 'fcall' is not served here: what it does is not known here")
    wild = planned(route, "EVAL redis.call('spop',KEYS[1])redis.call('flushdb') 1 k")
    assert isinstance(wild, DirectReply)
    assert b"copies could diverge: it calls spop, which depends on chance, time or order, and flushdb may" in wild.frame
    decided = planned(route, "EVAL return(redis.call('spop',KEYS[1]..ARGV[1])) 1 k x")
    assert isinstance(decided, LeaderFirst)
    assert (decided.keys, decided.written_keys, decided.asks_pubsub_node) == ([b"k", b"kx"], [b"k", b"kx"], False)
    assert isinstance(planned(route, "EVAL return(redis.call('set',KEYS[1],1)) 1 k"), Gather)
    missing = planned(route, "EVALSHA 0123456789012345678901234567890123456789 0")
    assert isinstance(missing, DirectReply)
    assert missing.frame.startswith(b"-NOSCRIPT")


def test_leader_first() -> None:
    """What copies cannot repeat is the leader's to decide; the keys that it writes to are known by the command."""
    three, route = pool()
    key = led_by(three, "b")
    spop = planned(route, f"SPOP {key}")
    assert isinstance(spop, LeaderFirst)
    assert (repr(spop), spop.keys, spop.written_keys) == ("b first", [key.encode()], [key.encode()])
    sort = planned(route, "SORT l BY w_* STORE d")
    assert isinstance(sort, LeaderFirst)
    assert (sort.keys, sort.written_keys) == ([b"l", b"d"], [b"d"])
    three.groups[0].min_in_sync = 4
    refused = planned(route, f"SPOP {key}")
    assert isinstance(refused, DirectReply)
    assert refused.frame == errors.NOREPLICAS


def test_reads_of_keys_that_are_decided() -> None:
    """They wait for their turn; not in a transaction, nor what is of no key or of another one."""
    three, route = pool()
    three.groups[0].key_turns.ask(Recorded("other", [], [(0, b"k")]))
    for text, waits in (
        ("GET k", True),
        ("MGET j k", True),
        ("HSCAN k 0", True),
        ("DBSIZE", True),
        ("EVAL return(redis.call('get',KEYS[1])) 1 k", True),
        ("EVAL return(redis.call('get','k')) 0", True),
        ("EVAL return(redis.call('get',redis.call('get',KEYS[1]))) 1 j", True),
        ("EVAL return(redis.call('dbsize')) 0", True),
        ("EVAL return(redis.call('get',KEYS[1])) 1 j", False),
        ("EVAL return(redis.call('get','j')) 0", False),
        ("EVAL return(1) 0", False),
        ("SORT j GET w_*", True),
        ("SORT j", False),
        ("GET j", False),
        ("INFO", False),
        ("XREAD BLOCK 5 STREAMS k 0", False),
        ("WATCH k", False),
    ):
        assert isinstance(planned(route, text), AwaitTurn) == waits, text
    assert repr(planned(route, "DBSIZE")).endswith(" in its turn")
    for text in ("GET k", "EVAL return(redis.call('get',KEYS[1])) 1 k"):
        assert isinstance(planned(route, text, in_multi=True), Send)


def test_what_reads_keys_that_nobody_knows() -> None:
    """What such a key holds decides what it writes: it waits until nothing is being decided, and may write anything."""
    _, route = pool()
    for text, reads_others in (
        ("SORT l BY w_* STORE d", True),
        ("SORT l BY nosort STORE d", False),
        ("EVAL return{redis.call('spop',KEYS[1]),redis.call('get',KEYS[1]..'x')} 1 k", False),
        ("EVAL return{redis.call('spop',KEYS[1]),redis.call('get',redis.call('get','n'))} 1 k", True),
    ):
        decided = planned(route, text)
        assert isinstance(decided, LeaderFirst)
        assert decided.may_read_other_keys == reads_others, text
    for text, keys, may_write_others in (
        ("SORT l GET w_* STORE d", [b"l", b"d"], True),
        ("SORT l STORE d", [b"l", b"d"], False),
        ("EVAL return(redis.call('incr',KEYS[1])) 1 k", [b"k"], False),
        ("EVAL return(redis.call('set',KEYS[1],redis.call('get',KEYS[1]..'x'))) 1 k", [b"k", b"kx"], False),
        ("EVAL return(redis.call('set',KEYS[1],redis.call('get',redis.call('get','n')))) 1 k", [b"k"], True),
        ("EVAL return(redis.call('publish','c','m')) 0", [], True),
    ):
        plan = planned(route, text)
        assert isinstance(plan, Gather)
        assert plan.write is not None
        assert (plan.write.written_keys, plan.write.may_write_other_keys) == (keys, may_write_others), text


def test_scripts_that_read() -> None:
    """They are reads of the leader, with the next copy behind it."""
    three, route = pool()
    key = led_by(three, "b")
    assert repr(planned(route, f"EVAL return(redis.call('ttl',KEYS[1])) 1 {key}")).startswith("b else ")


def test_scripts_that_publish() -> None:
    """One copy is told to publish: the one that the proxy is subscribed to, also when it has fallen behind."""
    three, route = pool(behind="c")
    text = "EVAL redis.call('publish','c','m') 0"
    for publisher in (None, *three.nodes):
        three.groups[0].pubsub_node, three.groups[0].pubsub_connections = publisher, 1
        plan = planned(route, text)
        assert isinstance(plan, Gather)
        assert plan.write is not None
        sent = {send.node.name: (send.payload or b"")[-13:-12] for send in plan.plans if isinstance(send, Send)}
        assert plan.interposed is not None
        unawaited = plan.interposed.payload_for(three.nodes[2], plan.write.unawaited_payload)
        sent["c"] = (unawaited or b"")[-13:-12]
        expected = publisher.name if publisher else "a"
        assert sent == {name: b"1" if name == expected else b"0" for name in "abc"}


def test_touched_keys() -> None:
    """While a sync runs: keys of writes with several keys, and those of scripts that may write to others."""
    three, _ = pool()
    group = three.groups[0]
    play = story(three) >> client("MSET k 1 l 2") << unheard
    group.touched_keys = {}
    single = encode_request([b"EVAL", b"return redis.call('incr',KEYS[1])", b"1", b"m"])
    script = encode_request([b"EVAL", b"return redis.call('incr',redis.call('get',KEYS[1]))", b"1", b"n"])
    assert play >> client("SET m 1", "RENAME k l", single, script) << unheard
    assert list(group.touched_keys) == [(0, b"k"), (0, b"l"), (0, b"n")]


def test_scan() -> None:
    """A scan stays on the copy that its cursor names, as long as that one is in sync."""
    _, route = pool(behind="c")
    assert repr(planned(route, "SCAN 0")) == "[a]"
    assert repr(planned(route, f"SCAN {5 << 24 | 2}")) == "[b]"
    assert isinstance(planned(route, f"SCAN {5 << 24 | 3}"), DirectReply)
    assert route.scan_routes() == [route]
    assert route.scan_node(77) is None


def test_explain() -> None:
    """Who holds a key, in its order, with the states."""
    _, route = pool(behind="c")
    assert [node.name for node in route.nodes()] == ["a", "b", "c"]
    assert route.explain(b"k").startswith("copies, in the key's order: ")
    assert "c (behind)" in route.explain(b"k")


def test_not_ready() -> None:
    """Before the election nothing is served; with too few copies alive nothing is written."""
    starting = CopyPool("pair", copies("a", elected=False).groups[0])
    answer = planned(starting, "GET k")
    assert isinstance(answer, DirectReply)
    assert answer.frame.startswith(b"-LOADING")
    three, route = pool(behind="c")
    for node in three.nodes:
        node.live = False
    answer = planned(route, "SET k x")
    assert isinstance(answer, DirectReply)
    assert answer.frame.startswith(b"-NOREPLICAS")
    three.nodes[0].live = True
    plan = planned(route, "SET k x")
    assert isinstance(plan, Gather)
    assert plan.write is not None
    assert plan.write.unawaited_nodes == []


def test_arguments() -> None:
    """Options decide what copies do, so a plan looks at all arguments."""
    _, route = pool()
    assert route.needs_arguments()


def test_publish() -> None:
    """A message goes to one copy, whatever its channel; nothing of it is kept, so it is no write of the pool."""
    three, route = pool()
    assert {repr(planned(route, f"PUBLISH {led_by(three, name)} m")) for name in "abc"} == {"a"}
    assert repr(planned(route, "PUBSUB CHANNELS")) == "a"
    assert route.pubsub_node() is three.nodes[0]
    three.groups[0].elected = False
    assert route.pubsub_node() is None
