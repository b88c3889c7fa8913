"""EXEC in copy pools: it waits for its turn as a whole, and runs on the leader if copies cannot repeat it. Stories."""

from tests.replication.test_key_turns import Recorded
from tests.story import (
    Event,
    Pool,
    Story,
    client,
    copies,
    given,
    gone,
    led_by,
    node,
    received,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

DUMPED = ("$2 dd", ":-1")


def pair() -> tuple[Pool, str, str]:
    """Two copies, and two keys that ``a`` leads."""
    pool = known(copies("a", "b"))
    return pool, led_by(pool, "a", 1), led_by(pool, "a", 2)


def known(pool: Pool) -> Pool:
    """Servers of which it is known what they can say of an expiry."""
    for each in pool.nodes:
        each.version = b"7.2.4"
    return pool


def taken(play: Story, *keys: str, at: int = 0) -> Recorded:
    """Somebody has a turn at these keys of a group."""
    turn = Recorded("other", [], [(0, key.encode()) for key in keys])
    play.pool.groups[at].key_turns.ask(turn)
    return turn


def over(turn: Recorded, at: int = 0) -> Event:
    """That turn is over."""
    return given(lambda play: play.pool.groups[at].key_turns.leave(turn))


def idle(play: Story) -> bool:
    """Nobody has a turn, watches, or has an open write."""
    return not any(group.key_turns.busy or group.open_writes or group.watches for group in play.pool.groups)


def multi(*texts: str) -> tuple[str, ...]:
    """These commands in a transaction."""
    return "MULTI", *texts, "EXEC"


def sizes(name: str, *keys: str, size: int = 50) -> Event:
    """The leader is asked how large these keys are, and answers."""

    def expectation(play: Story) -> None:
        play << to(name, *[f"MEMORY USAGE {key}" for key in keys]) >> node(name, *[f":{size}" for _ in keys])

    return expectation


def queued(count: int) -> Event:
    """The client hears that so many commands are queued."""
    return to_client("+OK", *["+QUEUED"] * count)


# -- turns -------------------------------------------------------------------------------------------------------


def test_it_waits_as_a_whole() -> None:
    """Nothing of it is sent before its turn; the client's next request comes behind it, those of others need not."""
    pool, key, other = pair()
    play = story(pool)
    turn = taken(play, key)
    whole = multi(f"SET {other} 1", f"INCR {key}")
    (
        play
        >> client("MULTI", f"SET {other} 1", f"INCR {key}", "PING", "EXEC", f"GET {other}") << queued(3)
        >> client(*multi("SET free 1"), name="you") << to("a", *multi("SET free 1")) << to("b", *multi("SET free 1"))
        << to_client("+OK", "+QUEUED", name="you")
        >> over(turn) << to("a", *whole) << to("b", *whole)
        >> node("b", "+OK", "+QUEUED", "*1 +OK", "+OK", "+QUEUED", "+QUEUED", "*2 +OK :1")
        >> node("a", "+OK", "+QUEUED", "*1 +OK", "+OK", "+QUEUED", "+QUEUED", "*2 +OK :1")
        << to_client("*1 +OK", name="you") << to_client("*3 +OK :1 +PONG") << to("a", f"GET {other}")
    )  # fmt: skip


def test_reads_wait_too() -> None:
    """A transaction that only reads asks one copy, and waits as well; one of no key does not."""
    pool, key, _ = pair()
    play = story(pool)
    turn = taken(play, key)
    (
        play
        >> client(*multi(f"GET {key}")) << queued(1)
        >> client(*multi("TIME"), name="you") << then(lambda play: play.client("you").received.startswith(b"+OK"))
        << unheard
        >> client(*multi("PUBSUB CHANNELS"), name="he") << to("a", *multi("PUBSUB CHANNELS"))
        << to_client("+OK", "+QUEUED", name="he")
        >> over(turn) << to("a", *multi(f"GET {key}"))
    )  # fmt: skip


def test_it_waits_for_the_whole_keyspace() -> None:
    """FLUSHDB, MOVE and scripts may change any key: such a transaction waits for every turn."""
    for text in ("FLUSHDB", "MOVE free 3", "SCRIPT FLUSH"):
        pool, key, _ = pair()
        play = story(pool)
        turn = taken(play, key)
        waits = text != "SCRIPT FLUSH"
        play >> client(*multi(text)) << queued(1)
        if waits:
            play << silence() >> over(turn)
        play << to("a", *multi(text)) << to("b", *multi(text))


def test_a_watched_key_changes_meanwhile() -> None:
    """The last look at watched keys is when it is its turn."""
    pool, key, other = pair()
    play = story(pool)
    turn = taken(play, key)
    (
        play
        >> client(f"WATCH {other}") << to("a", f"PTTL {other}") >> node("a", ":-1") << to_client("+OK")
        >> client(*multi(f"INCR {key}")) << queued(1)
        >> client(f"SET {other} 1", name="you") << to("a", f"SET {other} 1") << to("b", f"SET {other} 1")
        >> over(turn) << to_client("*-1") << then(lambda play: not play.pool.groups[0].watches)
    )  # fmt: skip


def test_watched_keys_have_not_changed() -> None:
    """Then it is sent in its turn, and the watching is over."""
    pool, key, _ = pair()
    play = story(pool)
    play >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
    turn = taken(play, key)
    play >> client(*multi(f"INCR {key}")) << queued(1)
    play >> over(turn) << to("a", *multi(f"INCR {key}")) << to("b", *multi(f"INCR {key}"))
    assert not pool.groups[0].watches


def test_the_client_leaves_meanwhile() -> None:
    """What it has sent is still run, once, and nothing stays behind."""
    pool, key, _ = pair()
    play = story(pool)
    play >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
    turn = taken(play, key)
    play >> client(*multi(f"INCR {key}")) << queued(1)
    play >> gone() << silence()
    play >> over(turn) << to("a", *multi(f"INCR {key}")) << to("b", *multi(f"INCR {key}"))
    for name in "ab":
        play >> node(name, "+OK", "+QUEUED", "*1 :1")
    assert idle(play)


def test_it_waits_too_long() -> None:
    """Nothing was sent, and the error says so."""
    pool, key, _ = pair()
    play = story(pool)
    late = "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)"
    play >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
    turn = taken(play, key)
    play >> client(*multi(f"INCR {key}")) << queued(1)
    play >> client(*multi(f"INCR {key}"), name="you") << to_client("+OK", "+QUEUED", name="you")
    play >> given(lambda play: pool.groups[0].key_turns.tick(play.executor.now + 1.0))
    play << to_client(late) << to_client(late, name="you")
    play >> over(turn) << silence()
    assert idle(play)


def rings() -> tuple[Pool, Story]:
    """A ring of two copy pools: ``{one}`` and ``{two}``."""
    pool = ring(copies("a", "b", name="one"), copies("c", "d", name="two"))
    return pool, story(pool)


def test_two_copy_pools() -> None:
    """It waits for its turn in both, and is sent to both at once."""
    _, play = rings()
    one, two = taken(play, "{one}k"), taken(play, "{two}k", at=1)
    (
        play
        >> client(*multi("SET {one}k 1", "SET {two}k 1")) << queued(2)
        >> over(one) << silence()
        >> client("SET {one}k 2", name="you") << silence()
        >> over(two, 1)
        << to("a", *multi("SET {one}k 1"), "SET {one}k 2") << to("b", *multi("SET {one}k 1"), "SET {one}k 2")
        << to("c", *multi("SET {two}k 1")) << to("d", *multi("SET {two}k 1"))
    )  # fmt: skip


def test_too_long_in_one_of_two_pools() -> None:
    """Then it is sent to neither, and its turn in the other is over."""
    pool, play = rings()
    two = taken(play, "{two}k", at=1)
    late = "-TIMEOUT c c:6379 (earlier commands on its keys are not decided yet)"
    play >> client(*multi("SET {one}k 1", "SET {two}k 1")) << queued(2)
    for group in pool.groups:
        group.key_turns.tick(play.executor.now + 1.0)
    play << to_client(late)
    assert not pool.groups[0].key_turns.busy
    play >> over(two, 1) << silence()
    assert idle(play)


def test_too_long_in_both_pools_at_once() -> None:
    """It has no turn in either pool by then, and the client hears of the first one alone."""
    pool, play = rings()
    one, two = taken(play, "{one}k"), taken(play, "{two}k", at=1)
    play >> client(*multi("SET {one}k 1", "SET {two}k 1")) << queued(2)
    for group in pool.groups:
        group.key_turns.tick(play.executor.now + 1.0)
    play << to_client("-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)")
    play >> over(one) >> over(two, 1) << silence() << to_client()
    assert idle(play)


def test_too_long_in_both_pools() -> None:
    """The client hears of it once; later turns are over at once."""
    pool, play = rings()
    one, two = taken(play, "{one}k"), taken(play, "{two}k", at=1)
    play >> client(*multi("SET {one}k 1", "SET {two}k 1")) << queued(2)
    play >> given(lambda play: pool.groups[1].key_turns.tick(play.executor.now + 1.0))
    play << to_client("-TIMEOUT c c:6379 (earlier commands on its keys are not decided yet)")
    play >> over(one) << silence()
    play >> over(two, 1) << silence()
    assert idle(play)


# -- the leader decides -------------------------------------------------------------------------------------------


def test_the_leader_decides() -> None:
    """All of it runs on the leader; the other copies get what its keys hold then."""
    pool, key, other = pair()
    asked = multi(f"SPOP {key}", f"SET {other} 1", f"GET {key}", *[
        text for name in (key, other) for text in (f"DUMP {name}", f"PEXPIRETIME {name}")
    ])  # fmt: skip
    (
        story(pool)
        >> client("MULTI", f"SPOP {key}", f"SET {other} 1", "PING", f"GET {key}", "EXEC", "PING") << queued(4)
        << sizes("a", key, other) << to("a", *asked)
        >> client(f"SCARD {key}", name="you")
        >> node("a", "+OK", *["+QUEUED"] * 7, "*7 $1 x +OK $-1 $-1 :-2 $2 dd :77")
        << to("b", *multi(f"UNLINK {key}", f"RESTORE {other} 77 dd REPLACE ABSTTL")) << to("a", f"SCARD {key}")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 :1 +OK") << to_client("*4 $1 x +OK +PONG $-1", "+PONG")
    )  # fmt: skip


def test_other_forms() -> None:
    """One command alone; expiry is made absolute; what is published is published where subscribers listen."""
    pool = known(copies("a", "b"))
    key = led_by(pool, "b")
    play = story(pool)
    later = play.proxy.clock.ms + 5000
    (
        play
        >> client("MULTI", f"SPOP {key}", "EXEC") << queued(1) << sizes("b", key)
        << to("b", *multi(f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}"))
        >> node("b", "+OK", *["+QUEUED"] * 3, "*3 $1 x $2 dd :-1") << to("a", f"RESTORE {key} 0 dd REPLACE ABSTTL")
        >> node("a", "+OK") << to_client("*1 $1 x") << then(idle)
        >> client("MULTI", f"SPOP {key}", f"EXPIRE {key} 5", "PUBLISH c m", "EXEC") << queued(3) << sizes("a", key)
        << to("a", *multi(
            f"SPOP {key}", f"PEXPIREAT {key} {later}", "PUBLISH c m", f"DUMP {key}", f"PEXPIRETIME {key}"
        ))
    )  # fmt: skip


def test_what_cannot_be_part_of_it() -> None:
    """Commands whose effect cannot be known, and those of another pool: nothing is run, and the error says why."""
    pool, key, _ = pair()
    play = story(pool)
    play >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
    for text in ("FLUSHDB", "MOVE k 3"):
        name = text.split()[0].lower()
        play >> client("MULTI", f"SPOP {key}", text, "EXEC")
        play << to_client("+OK", "+QUEUED", "+QUEUED", refusal(name)) << then(idle)
    _, play = rings()
    play >> client("MULTI", "SPOP {one}k", "SET {two}k 1", "EXEC")
    play << to_client("+OK", "+QUEUED", "+QUEUED", refusal("set"))
    play >> client("MULTI", "SPOP {one}k", "MSET {one}k 1 {two}k 1", "EXEC")
    play << to_client("+OK", "+QUEUED", "+QUEUED", refusal("mset")) << then(idle)


def refusal(name: str) -> str:
    """Why a command cannot be in one transaction with SPOP."""
    return (
        f"-EXECABORT Transaction discarded because '{name}' cannot be in one transaction with 'spop', which the leader "
        f"of its keys decides: others could not be told what it changes"
    )


def test_the_leader_refuses() -> None:
    """An error is the reply to EXEC, also when too few copies are there."""
    pool, key, _ = pair()
    play = story(pool)
    play >> client("MULTI", f"SPOP {key}", "EXEC") << queued(1) << sizes("a", key)
    play << to("a", *multi(f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}"))
    play >> node("a", "+OK", "-ERR no", "+QUEUED", "+QUEUED", "-EXECABORT no") << to_client("-ERR no") << then(idle)
    play >> client("MULTI", f"SPOP {key}", "EXEC") << queued(1) << sizes("a", key)
    play << to("a", *multi(f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}"))
    play >> node("a", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*1 $1 x")
    play << sizes("b", key) << to("b", *multi(f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}"))
    play >> node("b", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3 $1 x $-1 :-2") << to_client("*1 $1 x") << then(idle)
    assert pool.groups[0].behind_names() == ["a"]


def test_a_watched_key_has_changed() -> None:
    """The leader is not asked."""
    pool, key, other = pair()
    play = story(pool)
    turn = taken(play, key)
    play >> client(f"WATCH {other}") << to("a", f"PTTL {other}") >> node("a", ":-1") << to_client("+OK")
    play >> client("MULTI", f"SPOP {key}", "EXEC") << queued(1)
    play >> client(f"SET {other} 1", name="you") << to("a", f"SET {other} 1") << to("b", f"SET {other} 1")
    play >> over(turn) << to_client("*-1")
    for name in "ab":
        play >> node(name, "+OK")
    play << to_client("+OK", name="you")
    assert idle(play)


def test_lists_of_replies() -> None:
    """Where a client wants each copy's reply it gets the leader's for each, and who is behind."""
    pool = known(copies("a", "b", "c", behind="c"))
    key = led_by(pool, "a")
    play = story(pool)
    play >> client("PROXY REPLIES LIST") << to_client("+OK")
    play >> client("MULTI", f"SPOP {key}", "EXEC") << queued(1) << sizes("a", key)
    asked = multi(f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}")
    play << to("a", *asked) >> node("a", "+OK", *["+QUEUED"] * 3, "*3 $1 x $-1 :-2")
    play << to("b", f"UNLINK {key}") << to("c", f"UNLINK {key}")
    behind = b"-BEHIND c is not in sync; it gets writes and is not read\r\n"
    play >> node("b", ":1") << to_client(b"*1\r\n*3\r\n$1\r\nx\r\n$1\r\nx\r\n" + behind)


def test_many_local_commands() -> None:
    """However many the proxy answers itself, it is sent in one step when it is its turn."""
    pool, key, _ = pair()
    play = story(pool)
    turn = taken(play, key)
    play >> client("MULTI", *["PING"] * 4200, f"INCR {key}", "EXEC") << unheard
    for _ in range(50):
        play >> tick() << unheard
    play >> over(turn) << to("a", *multi(f"INCR {key}")) << to("b", *multi(f"INCR {key}"))
    play >> node("a", "+OK", "+QUEUED", "*1 :1") >> node("b", "+OK", "+QUEUED", "*1 :1")
    assert received(play) == b"*4201\r\n" + b"+PONG\r\n" * 4200 + b":1\r\n"
