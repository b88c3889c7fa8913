"""The cases that must be right, each by its name: what is done to the copies while the load is on.

A scenario waits for what can be seen (a state, operations that succeed, clients that are stuck), never for a time.
"""

from contextlib import suppress
from typing import Final

import redis

from tests.consistency.nemesis import Trial
from tests.consistency.rounds import SCENARIOS, scenario

# -- nodes die ---------------------------------------------------------------------------------------------------


@scenario()
def killed_and_back_empty(t: Trial) -> None:
    """SIGKILL, and its disk has lost everything."""
    at = t.some()
    t.kill(at)
    t.go_on()
    t.back(at)


@scenario()
def killed_and_back_with_old_data(t: Trial) -> None:
    """SIGKILL, and it comes back with what it had some time before."""
    at = t.some()
    t.save(at)
    t.go_on()
    t.kill(at)
    t.go_on()
    t.back(at, from_disk=True)


@scenario()
def killed_and_back_at_once(t: Trial) -> None:
    """It is back, empty, before anybody has heard that it was away."""
    at = t.some()
    t.kill_and_restart(at)


@scenario()
def restarted_one_after_another(t: Trial) -> None:
    """Nodes without persistence, each restarted when the one before is in sync."""
    for at in (0, 1, 0):
        t.kill(at)
        t.go_on(20)
        t.back(at)
        t.until_well()


def killed_in_turn(t: Trial) -> tuple[int, int]:
    """One dies, the other goes on for a while, stands still, saves and dies."""
    first = t.some()
    (last,) = t.others(first)
    t.save(first)
    t.go_on(20)
    t.kill(first)
    t.go_on(20)
    t.load.stop()
    t.save(last)
    t.kill(last)
    return first, last


@scenario(exact=True)
def all_killed_first_in_first_back(t: Trial) -> None:
    """The one that died first lacks what came later: it must not serve before the other one is there."""
    first, last = killed_in_turn(t)
    t.back(first, from_disk=True)
    t.load.resume()
    t.back(last, from_disk=True)


@scenario(exact=True)
def all_killed_last_in_first_back(t: Trial) -> None:
    """The one that died last has everything, and serves."""
    first, last = killed_in_turn(t)
    t.back(last, from_disk=True)
    t.load.resume()
    t.go_on(20)
    t.back(first, from_disk=True)


# -- nodes stand still, networks are bad -----------------------------------------------------------------------------


@scenario()
def stalled_for_less_than_the_deadline(t: Trial) -> None:
    """SIGSTOP until clients are stuck, then SIGCONT."""
    for at in (0, 1):
        t.freeze(at)
        t.until_stuck(2)
        t.thaw(at)
        t.go_on(20)


@scenario()
def stalled_for_more_than_the_deadline(t: Trial) -> None:
    """SIGSTOP until the copy is given up; SIGCONT while others write."""
    at = t.some()
    t.freeze(at)
    t.until_missed(at)
    t.go_on()
    t.thaw(at)


@scenario()
def cut_in_the_middle_of_a_reply(t: Trial) -> None:
    """The proxy has read half a frame."""
    for at in (0, 1):
        t.bad(at).cut_after(t.dice.randrange(1, 60))
        t.go_on(20)
        t.until_well()


@scenario()
def cut_in_the_middle_of_a_request(t: Trial) -> None:
    """The node has read half a frame."""
    for at in (0, 1):
        t.bad(at).cut_after(t.dice.randrange(1, 200), replies=False)
        t.go_on(20)
        t.until_well()


@scenario()
def one_way_silence_to_the_node(t: Trial) -> None:
    """Requests do not arrive; then they do, all at once."""
    at = t.some()
    t.bad(at).stall(replies=False)
    t.until_missed(at)
    t.go_on()
    t.bad(at).heal()


@scenario()
def one_way_silence_from_the_node(t: Trial) -> None:
    """Requests are executed, and nobody hears of it."""
    at = t.some()
    t.bad(at).stall(requests=False)
    t.until_missed(at)
    t.go_on()
    t.bad(at).heal()


@scenario()
def a_node_dribbles(t: Trial) -> None:
    """Replies come byte by byte."""
    at = t.some()
    t.bad(at).trickle(1, 0.001)
    t.go_on()
    t.bad(at).heal()


@scenario()
def a_late_write(t: Trial) -> None:
    """A write that was given up arrives when the copy is in sync again, behind a later one that was acknowledged."""
    at = t.some()
    t.hold_a_write(at)
    t.until_missed(at)
    t.go_on()
    t.until_well()
    t.client.set(t.late, "last")
    t.go_on()
    t.bad(at).heal()


@scenario(long=True)
def a_late_write_of_a_dead_proxy(t: Trial) -> None:
    """The same, of a proxy that was killed: the next one does not know its connections."""
    at = t.some()
    t.hold_a_write(at)
    t.kill_proxy()
    t.proxy.start()
    t.until_well()
    t.client.set(t.late, "last")
    t.go_on()
    t.bad(at).heal()


# -- between decision and effect ----------------------------------------------------------------------------------

#: The five ways in which a write gets to all copies, and the kinds of the load that go them.
WAYS: Final = {
    "rewritten": ("expiring", "multi-stream", "stream"),
    "scripted": ("scripted", "scripted-counter", "scripted-stream", "function"),
    "waiting": ("q:list", "q:moves", "q:zset"),
    "decided": ("q:set",),
    "state": ("chance", "function-chance", "function-put", "sorted", "multi-sorted"),
}


def dies_in_the_middle(t: Trial) -> None:
    """Each node in turn, so also the leader, has executed what nobody has heard of, and dies."""
    for at in (0, 1):
        t.bad(at).stall(requests=False)
        t.until_stuck()
        t.kill(at)
        t.bad(at).heal()
        t.go_on(20)
        t.back(at)
        t.until_well()


for _way, _kinds in WAYS.items():
    scenario(only=_kinds, name=f"dies_in_the_middle_{_way}", versions=_way != "state")(dies_in_the_middle)


# -- syncs --------------------------------------------------------------------------------------------------------


def begin_sync(t: Trial, at: int) -> None:
    """It was away, is back, and is being filled over a slow network."""
    t.kill(at)
    t.go_on(20)
    t.bad(at).trickle(256, 0.001)
    t.back(at)
    t.until(at, "syncing")


@scenario(filled=100)
def dies_again_during_its_sync(t: Trial) -> None:
    """The copy that is being filled."""
    at = t.some()
    begin_sync(t, at)
    t.kill(at)
    t.bad(at).heal()
    t.go_on(20)
    t.back(at)


@scenario(nodes=3, filled=100)
def the_source_dies_during_a_sync(t: Trial) -> None:
    """One of the two that may be the source; the other one has everything, too."""
    at = t.some()
    begin_sync(t, at)
    other = t.others(at)[0]
    t.kill(other)
    t.bad(at).heal()
    t.go_on(20)
    t.back(other)


@scenario(nodes=3, filled=100)
def source_and_target_die_during_a_sync(t: Trial) -> None:
    """Both, and one copy is left."""
    at = t.some()
    begin_sync(t, at)
    other = t.others(at)[0]
    t.kill(other)
    t.kill(at)
    t.bad(at).heal()
    t.go_on(20)
    t.back(at)
    t.back(other)


@scenario(filled=100)
def cancelled(t: Trial) -> None:
    """A sync that somebody has ended is ordered again."""
    at = t.some()
    begin_sync(t, at)
    t.client.execute_command("PROXY", "SYNC", t.names[at], "CANCEL")
    t.bad(at).heal()
    t.go_on(20)
    t.client.execute_command("PROXY", "SYNC", t.names[at])


@scenario(filled=100)
def busy_sync(t: Trial) -> None:
    """A slow sync: meanwhile keys are rewritten, deleted, renamed, and expire between DUMP and RESTORE."""
    at = t.some()
    begin_sync(t, at)
    t.go_on(150)
    t.bad(at).heal()


@scenario(filled=100)
def flushdb_while_behind(t: Trial) -> None:
    """A database that was emptied while a copy was away does not come back from it."""
    at = t.some()
    t.freeze(at)
    t.until_missed(at)
    with_db = t.proxy.client(2, db=5)
    with_db.flushdb()
    with_db.set("after", 1)
    t.go_on(20)
    t.thaw(at)
    t.until_well()
    assert with_db.keys("*") == [b"after"]


@scenario(long=True)
def too_many_missed_keys(t: Trial) -> None:
    """More than are noted: the copy is compared as a whole."""
    at = t.some()
    t.freeze(at)
    t.until_missed(at)
    for number in range(70):
        # What waits for a node that is stuck says so: it was not sent to any.
        with suppress(redis.ResponseError):
            t.client.delete(f"{number}" + "x" * 1_000_000)
    t.go_on(20)
    t.thaw(at)


# -- the proxy dies ----------------------------------------------------------------------------------------------


@scenario()
def proxy_killed_while_a_node_is_behind(t: Trial) -> None:
    """The new proxy knows which one."""
    at = t.some()
    t.freeze(at)
    t.until_missed(at)
    t.go_on(20)
    t.kill_proxy()
    t.proxy.start()
    t.go_on(20)
    t.thaw(at)


@scenario(filled=100)
def proxy_killed_during_a_sync(t: Trial) -> None:
    """A copy that is half filled is not read by the next proxy."""
    at = t.some()
    begin_sync(t, at)
    t.kill_proxy()
    t.proxy.start()
    t.go_on(20)
    t.bad(at).heal()


@scenario()
def proxy_killed_in_the_moment_of_a_write(t: Trial) -> None:
    """One copy has executed it, the other one has not."""
    at = t.some()
    t.bad(at).stall()
    t.until_stuck()
    t.kill_proxy()
    t.bad(at).cut()
    t.bad(at).heal()
    t.proxy.start()


@scenario()
def taken_over_and_back(t: Trial) -> None:
    """What the proxy acknowledged while another one took over, node by node, is there when it is started again."""
    t.take_over()


@scenario()
def taken_over_while_a_node_is_silent(t: Trial) -> None:
    """The other proxy cannot close the connection to that one."""
    at = t.some()
    t.bad(at).stall()
    t.until_missed(at)
    t.go_on(20)
    t.take_over()
    t.bad(at).heal()


# -- few are left ------------------------------------------------------------------------------------------------


@scenario(nodes=3, exact=True)
def two_of_three_behind(t: Trial) -> None:
    """All but one: it alone serves."""
    at = t.some()
    one, two = t.others(at)
    t.kill(one)
    t.freeze(two)
    t.until_missed(two)
    t.go_on()
    t.thaw(two)
    t.back(one)


@scenario(min_in_sync=2, exact=True)
def fewer_than_min_in_sync(t: Trial) -> None:
    """Writes are refused, and nothing of them is written."""
    at = t.some()
    t.kill(at)
    t.until_missed(at)
    refused = t.load.history.count("fail")
    t.go_on(20)
    assert t.load.history.count("fail") > refused
    t.back(at)


@scenario()
def nothing_happens(t: Trial) -> None:
    """No harm at all: nobody hears of an error, and writes around the expiry of their keys part no copies."""
    t.go_on(200)
    assert t.states() == ["in sync"] * t.count


__all__ = ["SCENARIOS"]
