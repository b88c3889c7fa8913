"""Scripts, and what changes servers and no key, in transactions that a leader decides. Stories."""

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import ALL_NODES, COPY_BROADCAST, NO_MULTI
from kidoproxy.resp.encode import encode_request
from tests.session.handlers.test_exec_turn import idle, known, multi, over, pair, queued, refusal, sizes, taken
from tests.story import Event, client, copies, led_by, node, silence, story, then, to, to_client, unheard


def evaluate(text: bytes, key: str) -> bytes:
    """EVAL with one key."""
    return encode_request([b"EVAL", text, b"1", key.encode()])


def test_a_script_in_it() -> None:
    """One that depends on chance makes the leader decide."""
    pool, key, _ = pair()
    play = story(pool)
    script = evaluate(b"return redis.call('spop',KEYS[1])", key)
    play >> client("MULTI", script, "EXEC") << queued(1) << sizes("a", key)
    play << to("a", "MULTI", script, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
    play >> node("a", "+OK", *["+QUEUED"] * 3, "*3 $1 x $-1 :-2") << to("b", f"UNLINK {key}")
    play >> node("b", ":1") << to_client("*1 $1 x") << then(idle)


def test_a_repeatable_script_on_the_leader() -> None:
    """A script that each copy would run, behind a prologue or not, runs on the leader alone as it was sent."""
    for text in (b"return {KEYS[1], redis.call('incr', KEYS[1])}", b"return redis.call('expire', KEYS[1], 5)"):
        pool, key, other = pair()
        script = evaluate(text, other)
        values = [words for name in (key, other) for words in (f"DUMP {name}", f"PEXPIRETIME {name}")]
        (
            story(pool)
            >> client("MULTI", f"SPOP {key}", script, "EXEC") << queued(2) << sizes("a", key, other)
            << to("a", "MULTI", f"SPOP {key}", script, *values, "EXEC")
            >> node("a", "+OK", *["+QUEUED"] * 6, "*6 $1 x :1 $-1 :-2 $2 dd :77")
            << to("b", *multi(f"UNLINK {key}", f"RESTORE {other} 77 dd REPLACE ABSTTL"))
            >> node("b", "+OK", *["+QUEUED"] * 2, "*2 :1 +OK") << to_client("*2 $1 x :1") << then(idle)
        )  # fmt: skip


def test_a_script_on_the_leader_that_publishes() -> None:
    """The copy is asked that messages are published to; what decides and what is repeated alike."""
    for call in (b"", b"redis.call('spop', KEYS[1]) "):
        pool = known(copies("a", "b"))
        key = led_by(pool, "b")
        script = evaluate(call + b"redis.call('publish', 'c', 'm')", key)
        play = story(pool) >> client("MULTI", f"SPOP {key}", script, "EXEC") << queued(2) << sizes("a", key)
        play << to("a", "MULTI", f"SPOP {key}", script, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")


def test_a_script_on_the_leader_whose_keys_are_not_known() -> None:
    """Its effect could not be told to the others: it is refused."""
    pool, key, other = pair()
    script = evaluate(b"redis.call('set', redis.call('get', KEYS[1]), 1)", other)
    play = story(pool)
    play >> client("MULTI", f"SPOP {key}", script, "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED", refusal("eval"))
    assert idle(play)


def test_it_waits_for_what_a_script_uses() -> None:
    """The keys that it computes, those that a read names; or any, if nobody knows which."""
    for text, waits in (
        (b"return redis.call('incr', KEYS[1])", False),
        (b"return redis.call('get', KEYS[1])", False),
        (b"return redis.call('get', KEYS[1] .. ':x')", True),
        (b"return redis.call('set', KEYS[1], redis.call('get', KEYS[1] .. ':x'))", True),
        (b"return redis.call('get', redis.call('get', KEYS[1]))", True),
    ):
        pool, _, other = pair()
        play = story(pool)
        turn = taken(play, f"{other}:x")
        script = evaluate(text, other)
        play >> client("MULTI", script, "EXEC") << queued(1)
        if waits:
            play << silence() >> over(turn)
        play << to("a", "MULTI", script, "EXEC") << unheard


def test_a_leader_that_may_read_any_key() -> None:
    """A transaction that the leader decides waits until nothing else is being decided, if a script of it may."""
    for text, waits in (
        ("SORT {other} GET w_*", True),
        ("SORT {other} GET #", False),
    ):
        pool, key, other = pair()
        play = story(pool)
        turn = taken(play, "w_1")
        play >> client("MULTI", f"SPOP {key}", text.format(other=other), "EXEC") << queued(2)
        if waits:
            play << silence() >> over(turn)
        play << to("a", f"MEMORY USAGE {key}")


#: Requests for the commands that every node gets and that name no key, where the bare name is not one.
WHOLE_REQUESTS = {
    "commandlog|reset": "COMMANDLOG RESET slow",
    "config|set": "CONFIG SET maxmemory 0",
    "function|delete": "FUNCTION DELETE lib",
    "function|load": "FUNCTION LOAD text",
    "function|restore": "FUNCTION RESTORE dump",
    "script|load": "SCRIPT LOAD text",
}


def test_commands_that_name_no_key() -> None:
    """Each is in one transaction with SPOP refused, or sent to the other copies as it came, before the values.

    Only where it makes no difference what comes between on one copy are they sent it.
    """
    sent: list[str] = []
    for spec in COMMANDS.values():
        for each in (spec, *(spec.subcommands or {}).values()):
            name = each.name.decode()
            if (
                each.replication != COPY_BROADCAST
                or each.reach != ALL_NODES
                or each.subcommands
                or each.flags & NO_MULTI
            ):
                continue
            text = WHOLE_REQUESTS.get(name, name.replace("|", " ").upper())
            pool, key, _ = pair()
            pool.words = CommandSet(frozenset(), frozenset([each.name]), {})
            play = story(pool) >> client("MULTI", text, f"SPOP {key}", "EXEC")
            if not each.commutes:
                play << to_client("+OK", "+QUEUED", "+QUEUED", refusal(name)) << then(idle)
                continue
            sent.append(name)
            (
                play << queued(2) << sizes("a", key) << to("a", *multi(
                    text, f"SPOP {key}", f"DUMP {key}", f"PEXPIRETIME {key}"
                ))
                >> node("a", "+OK", *["+QUEUED"] * 4, "*4 +fine $1 x $2 dd :-1")
                << to("b", *multi(text, f"RESTORE {key} 0 dd REPLACE ABSTTL"))
                >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 +fine +OK") << to_client("*2 +fine $1 x") << then(idle)
            )  # fmt: skip
    assert "script|load" in sent


def needs_repair(expected: bool) -> Event:
    """Whether keys of the first group wait for a repair."""
    return then(lambda play: bool(play.pool.groups[0].to_repair) == expected)


def test_a_command_without_a_key_that_differs() -> None:
    """Each server answers for itself, and no key is repaired for it."""
    for leader, other in (("-ERR a", "-ERR b"), ("-ERR a", "+OK"), ("+OK", "-ERR b"), ("+saves", "+saves soon")):
        pool, key, _ = pair()
        pool.words = CommandSet(frozenset(), frozenset([b"bgsave"]), {})
        (
            story(pool)
            >> client("MULTI", f"SPOP {key}", "BGSAVE", "EXEC") << queued(2) << sizes("a", key)
            << to("a", *multi(f"SPOP {key}", "BGSAVE", f"DUMP {key}", f"PEXPIRETIME {key}"))
            >> node("a", "+OK", *["+QUEUED"] * 4, f"*4\r\n$1\r\nx\r\n{leader}\r\n$2\r\ndd\r\n:-1\r\n".encode())
            << to("b", *multi("BGSAVE", f"RESTORE {key} 0 dd REPLACE ABSTTL"))
            >> node("b", "+OK", "+QUEUED", "+QUEUED", f"*2\r\n{other}\r\n+OK\r\n".encode())
            << needs_repair(False) << to_client(f"*2\r\n$1\r\nx\r\n{leader}\r\n".encode())
        )  # fmt: skip
