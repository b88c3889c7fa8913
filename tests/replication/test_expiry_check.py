"""Copies are asked when keys expire, with writes that they may take on two sides of that moment. Stories."""

from typing import Final

import pytest

from kidoproxy.replication.expiry_check import ExpiryCheck, begin_expiry_check
from kidoproxy.replication.expiry_memo import MARGIN_MS, NEVER
from kidoproxy.replication.group import BEHIND, SYNCING
from kidoproxy.routes.plan import Gather, Plan, Send, WriteScope
from kidoproxy.routes.route import RequestContext, WallClock
from tests.replication.supervised import run_ticks, supervised_copies
from tests.story import (
    WALL_MS,
    Pool,
    Story,
    client,
    copies,
    frame,
    led_by,
    lost,
    node,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)

SCRIPT: Final = b"return redis.call('incr', KEYS[1])"


def two(behind: str = "") -> tuple[Pool, str]:
    """A copy pool of two, and a key that ``a`` decides for."""
    pool = copies("a", "b", behind=behind)
    pool.groups[0].checks_expiry = True
    return pool, led_by(pool, "a")


def noted(pool: Pool) -> list[bytes]:
    """The keys that wait for a repair."""
    return [key for _, key in pool.groups[0].to_repair]


def asked(pool: Pool, request: str, key: str) -> Story:
    """A write that a question follows, acknowledged."""
    return (
        story(pool)
        >> client(request) << to("a", request, f"PTTL {key}") << to("b", request, f"PTTL {key}")
        >> node("a", ":1") >> node("b", ":1") << to_client(":1")
    )  # fmt: skip


def test_a_bug_leaves_no_open_write() -> None:
    """A sync would wait for it for ever."""
    pool, key = two()
    group = pool.groups[0]
    strangers = copies("x", "y").nodes
    check = ExpiryCheck(group, 0, strangers, [key.encode()], [key.encode()], WallClock(WALL_MS))
    first, second = check.questions(False)
    first.on_reply(b":1\r\n")
    with pytest.raises(KeyError):
        second.on_reply(b":1\r\n")
    assert group.open_writes == 0


def test_the_client_does_not_wait() -> None:
    """Behind the write each copy is asked; the client hears what it hears without; equal answers are remembered."""
    pool, key = two()
    (
        asked(pool, f"HSET {key} f v", key)
        >> node("a", ":-1") >> node("b", ":-1") << silence() << then(lambda play: not noted(pool))
        >> client(f"HSET {key} f w") << to("a", f"HSET {key} f w") << to("b", f"HSET {key} f w")
    )  # fmt: skip
    assert pool.groups[0].mismatches == 0


@pytest.mark.parametrize("name", ["a", "b"])
def test_the_expiry_was_between_the_copies(name: str) -> None:
    """One copy has kept the expiry and one has a key without: the key waits for its repair, nothing is remembered."""
    pool, key = two()
    other = "ab".replace(name, "")
    (
        asked(pool, f"INCR {key}", key)
        >> node(name, ":3") >> node(other, ":-1") << then(lambda play: noted(pool) == [key.encode()])
        >> client(f"INCR {key}")
        << to("a", f"INCR {key}", f"PEXPIRETIME {key}") << to("b", f"INCR {key}", f"PEXPIRETIME {key}")
    )  # fmt: skip
    assert pool.groups[0].mismatches == 1


@pytest.mark.parametrize(
    ("first", "second", "differ"), [(5, -2, False), (-2, 5, False), (60_000, -2, True), (-2, -1, True)]
)
def test_expired_since(first: int, second: int, differ: bool) -> None:
    """A key that is gone on one copy, and about to go on the other, is none that differs."""
    pool, key = two()
    asked(pool, f"SADD {key} m", key) >> node("a", f":{first}") >> node("b", f":{second}")
    assert noted(pool) == ([key.encode()] if differ else [])


def test_moments() -> None:
    """Servers that can are asked for the moment; times left are added to the clock, and are as exact as that is."""
    pool, key = two()
    play = story(pool) >> client(f"DEL {key}") << to("a", f"DEL {key}") << to("b", f"DEL {key}")
    assert play >> node("a", ":0") >> node("b", ":0") << to_client(":0")
    pool.nodes[1].version = b"6.2.7"
    far = WALL_MS + MARGIN_MS + 2000
    (
        play
        >> client(f"INCR {key}")
        << to("a", f"INCR {key}", f"PEXPIRETIME {key}") << to("b", f"INCR {key}", f"PTTL {key}")
        >> node("a", ":1") >> node("b", ":1") << to_client(":1")
        >> node("a", f":{far}") >> node("b", f":{far - WALL_MS - 900}") << then(lambda play: not noted(pool))
        >> client(f"INCR {key}") << to("a", f"INCR {key}") << to("b", f"INCR {key}")
        >> node("a", ":2") >> node("b", ":2") << to_client(":2")
        >> client(f"PEXPIREAT {key} {WALL_MS + 100}")
        << to("a", f"PEXPIREAT {key} {WALL_MS + 100}") << to("b", f"PEXPIREAT {key} {WALL_MS + 100}")
        >> node("a", ":1") >> node("b", ":1") << to_client(":1")
        >> client(f"INCR {key}")
        << to("a", f"INCR {key}", f"PEXPIRETIME {key}") << to("b", f"INCR {key}", f"PTTL {key}")
        >> node("a", ":3") >> node("b", ":3") << to_client(":3")
        >> node("a", f":{WALL_MS + 9000}") >> node("b", ":100") << then(lambda play: noted(pool) == [key.encode()])
    )  # fmt: skip


def test_a_copy_refuses_the_question() -> None:
    """A user who may not ask is not asked to know: nothing is repaired, and nothing remembered."""
    pool, key = two()
    (
        asked(pool, f"INCR {key}", key)
        >> node("a", ":-1") >> node("b", "-NOPERM no") << then(lambda play: not noted(pool))
        >> client(f"INCR {key}")
        << to("a", f"INCR {key}", f"PEXPIRETIME {key}") << to("b", f"INCR {key}", f"PEXPIRETIME {key}")
    )  # fmt: skip


def test_no_answer() -> None:
    """A copy that is lost behind the write, and before the answer, may have taken it late."""
    pool, key = two()
    asked(pool, f"INCR {key}", key) >> node("a", ":-1") >> lost("b") << then(lambda play: noted(pool) == [key.encode()])


@pytest.mark.parametrize("state", [SYNCING, BEHIND])
def test_a_copy_that_is_synced(state: str) -> None:
    """A copy that a sync brings up to date, now or later, is asked, too: its sync looks at the key if it differs."""
    pool, key = two(behind="b")
    group = pool.groups[0]
    group.copies[1].state = state
    group.copies[1].missed.reset(b"run")
    group.touched_keys = {} if state == SYNCING else None
    (
        story(pool)
        >> client(f"INCR {key}") << to("a", f"INCR {key}", f"PTTL {key}") << to("b", f"INCR {key}", f"PTTL {key}")
        >> node("a", ":1") << to_client(":1") >> node("b", ":1") << silence()
        >> node("a", ":-1") << then(lambda play: group.open_writes == 1)
        >> node("b", ":4") << then(lambda play: not noted(pool))
    )  # fmt: skip
    assert not group.open_writes
    assert list(group.copies[1].missed.keys) == [(0, key.encode())]
    # Nothing was missed: a pass need not be repeated for it.
    assert not group.copies[1].missed_write
    assert list(group.differing_keys) == ([(0, key.encode())] if state == SYNCING else [])
    group.differing_keys.clear()
    key = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"INCR {key}")
        << to("a", f"INCR {key}", f"PEXPIRETIME {key}") << to("b", f"INCR {key}", f"PEXPIRETIME {key}")
        >> node("a", ":1", ":-1") << to_client(":1") >> node("b", ":1", ":-1") << silence()
    )  # fmt: skip
    assert not group.differing_keys


def test_a_single_copy_is_not_asked() -> None:
    """There is nothing to compare; nor with a copy that is down."""
    pool, key = two(behind="b")
    pool.nodes[1].live = False
    story(pool) >> client(f"INCR {key}") << to("a", f"INCR {key}") << silence()
    context = RequestContext(0, 2, False, False, WallClock(0))
    assert begin_expiry_check(pool.groups[0], Gather([], 0), context, 0.5) is None


def script(pool: Pool, text: bytes, keys: list[str]) -> Story:
    """A script has been sent, behind questions about its keys and ahead of others."""
    play = story(pool)
    words = [b"EVAL", text, b"%d" % len(keys), *[key.encode() for key in keys]]
    raw = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    questions = [f"PTTL {key}" for key in keys]
    return play >> client(raw) << to("a", *questions, raw, *questions) << to("b", *questions, raw, *questions)


def test_around_a_script() -> None:
    """A script's keys are looked at before, too: its replies and what it leaves may be the same from both."""
    pool, key = two()
    (
        script(pool, SCRIPT, [key])
        >> node("a", ":50000", ":1", ":50000") >> node("b", ":50000", ":1", ":50000")
        << to_client(":1") << then(lambda play: not noted(pool))
        >> client(f"INCR {key}") << to("a", f"INCR {key}") << to("b", f"INCR {key}")
    )  # fmt: skip


def test_one_copy_had_the_key() -> None:
    """One copy had the key and the other had not: it differs, whatever is there afterwards."""
    pool, key = two()
    script(pool, SCRIPT, [key]) >> node("a", ":9", ":1", ":-1") >> node("b", ":-2", ":1", ":-1") << to_client(":1")
    assert noted(pool) == [key.encode()]
    assert pool.groups[0].mismatches == 1


def test_little_time_was_left() -> None:
    """If less time was left than has passed since, a copy may have run the script after the expiry: it is compared."""
    pool, key = two()
    (
        script(pool, SCRIPT, [key])
        >> node("a", ":300", ":1", ":300") >> tick(0.3)
        >> node("b", ":300", ":1", ":300") << to_client(":1") << then(lambda play: noted(pool) == [key.encode()])
    )  # fmt: skip
    assert pool.groups[0].mismatches == 0


@pytest.mark.parametrize(("left", "other"), [(9, -2), (1, 1), (-2, 3)])
def test_a_key_that_never_expires_beside_one_that_does(left: int, other: int) -> None:
    """What is written to one may follow from what was found in the other: both are repaired, though one was asked."""
    pool, key = two()
    far = led_by(pool, "a", 2)
    asked(pool, f"INCR {far}", far) >> node("a", ":-1") >> node("b", ":-1")
    words = f"EVAL redis.call('incr',KEYS[2]) 2 {key} {far}"
    around = [f"PTTL {key}", words, f"PEXPIRETIME {key}"]
    (
        story(pool)
        >> client(words) << to("a", *around) << to("b", *around)
        >> node("a", f":{left}", ":1", ":-2") >> node("b", f":{other}", ":1", ":-2")
        << to_client(":1") << then(lambda play: noted(pool) == [key.encode(), far.encode()])
    )  # fmt: skip


def test_a_script_that_sets_an_expiry() -> None:
    """Of its declared keys nothing is known afterwards; of any key, if it may be another one."""
    pool, key = two()
    asked(pool, f"INCR {key}", key) >> node("a", ":-1") >> node("b", ":-1")
    memo = pool.groups[0].expiry_memo
    assert memo.is_far((0, key.encode()), WALL_MS)
    play = story(pool)
    other = led_by(pool, "a", 2)
    text = "redis.call('pexpireat',KEYS[1],7)"
    play >> client(f"EVAL {text} 1 {other}")
    assert memo.is_far((0, key.encode()), WALL_MS)
    play.sent["a"].clear()
    play.sent["b"].clear()
    play >> client(f"EVAL {text.replace('KEYS[1]', 'ARGV[1]')} 1 {other} x")
    assert not memo.is_far((0, key.encode()), WALL_MS)
    play.sent["a"].clear()
    play.sent["b"].clear()


def test_several_keys() -> None:
    """Each key is asked for once, and all of them are repaired together."""
    pool, key = two()
    other = led_by(pool, "a", 2)
    words = f"ZUNIONSTORE {key} 2 {other} {key}"
    questions = [f"PTTL {key}", f"PTTL {other}"]
    (
        story(pool)
        >> client(words) << to("a", *questions, words, *questions) << to("b", *questions, words, *questions)
        >> node("a", ":-1", ":5", ":1", ":-1", ":4") >> node("b", ":-1", ":-2", ":1", ":-1", ":-2")
        << to_client(":1") << then(lambda play: noted(pool) == [key.encode(), other.encode()])
    )  # fmt: skip


def test_keys_that_never_expire_are_not_asked_for() -> None:
    """However many; and of a write without keys there is nothing to ask."""
    pool, _ = two()
    memo = pool.groups[0].expiry_memo
    context = RequestContext(0, 2, False, False, WallClock(WALL_MS))
    for keys in ([], [b"one"], [b"one", b"two"]):
        for key in keys:
            memo.store((0, key), NEVER)
        write = WriteScope(keys, False, None, [], None)
        sends: list[Plan] = [Send(node) for node in pool.nodes]
        plan = Gather(sends, 0, group=pool.groups[0], write=write)
        assert begin_expiry_check(pool.groups[0], plan, context, 0.5) is None


def test_in_a_transaction() -> None:
    """The questions are part of the transaction: a later command of it may set an expiry that hides the difference."""
    pool, key = two()
    at = WALL_MS + 50_000
    sent = ["MULTI", f"HSET {key} f v", f"PTTL {key}", f"PEXPIREAT {key} {at}", "EXEC"]
    (
        story(pool)
        >> client("MULTI", f"HSET {key} f v", f"PEXPIREAT {key} {at}", "EXEC")
        << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", *sent) << to("b", *sent)
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3 :1 :8 :1")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3 :1 :-1 :1")
        << to_client("*2 :1 :1") << then(lambda play: noted(pool) == [key.encode()])
    )  # fmt: skip


def test_the_clients_answer_stands() -> None:
    """In a transaction the first copy answers, whoever leads for the key: a repair copies what the client was told."""
    stage, _ = supervised_copies()
    pool = stage.play.pool
    key = led_by(pool, "b")
    stage.toys["b"].dbs[0] = {key.encode(): b"old"}
    for words in ("MULTI", f"SET {key} new NX", "EXEC"):
        heard = stage.say(words)
    assert heard == b""
    run_ticks(stage)
    stage.play.settle()

    assert stage.play.client("me").received == b"*1\r\n+OK\r\n"
    assert stage.toys["a"].dbs[0] == stage.toys["b"].dbs[0] == {key.encode(): b"new"}
    assert pool.groups[0].mismatches == 1
    assert not pool.groups[0].repair_sources


@pytest.mark.parametrize(
    ("request_words", "ahead", "late", "stands"),
    [
        ("SET {} new NX", "+OK", "$-1", "new"),
        ("SET {} new XX", "$-1", "+OK", None),
        ("GETDEL {}", "$-1", "$3 old", None),
        ("PEXPIREAT {} 1700000900000 NX", ":0", ":1", None),
    ],
)
@pytest.mark.parametrize("transaction", [False, True])
def test_between_two_clocks(request_words: str, ahead: str, late: str, stands: str | None, transaction: bool) -> None:
    """One copy's clock is 200 ms ahead, so that for it the key has expired: what it told the client is what stays."""
    stage, _ = supervised_copies()
    play = stage.play
    pool = play.pool
    key = led_by(pool, "b" if transaction else "a").encode()
    stage.toys["b"].dbs[0] = {key: b"old"}
    stage.toys["b"].until[key] = WALL_MS + 200
    if stands is not None:
        stage.toys["a"].dbs[0] = {key: stands.encode()}
    words = request_words.format(key.decode())
    stage.run()
    answers: list[tuple[str, ...]]
    if transaction:
        play >> client("MULTI", words, "EXEC")
        answers = [("+OK", "+QUEUED", f"*1 {reply}") for reply in (ahead, late)]
    else:
        play >> client(words)
        answers = [(ahead,), (late,)]
    for sent in play.sent.values():
        sent.clear()
    play.client("me").received = b""
    assert play >> node("a", *answers[0]) >> node("b", *answers[1])
    assert noted(pool) == [key]
    assert play.client("me").received == b""
    run_ticks(stage, 2)
    play.settle()

    told = frame(ahead)
    assert play.client("me").received == (b"*1\r\n" + told if transaction else told)
    assert stage.toys["b"].dbs[0].get(key) == (stands.encode() if stands is not None else None)
    assert stage.toys["a"].dbs[0].get(key) == (stands.encode() if stands is not None else None)
    assert not noted(pool)
