"""What is hashed of a key: tags as in Redis Cluster, families as the operator says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.routes.tags import GREEDY, OFF, SETS, Tags, greedy_tag

BRACES = (ord("{"), ord("}"))


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"", b""),
        (b"k", b"k"),
        (b"{user}:1", b"user"),
        (b"a{user}b{other}", b"user"),
        (b"a{{user}}", b"{user"),
        (b"{}a", b"{}a"),
        (b"{}{user}", b"{}{user}"),
        (b"{user", b"{user"),
        (b"}user{", b"}user{"),
        (b"\xff{\x00}", b"\x00"),
    ],
)
def test_tags(key: bytes, hashed: bytes) -> None:
    """The first opening character, the first closing one behind it, and something between them."""
    assert Tags(*BRACES, []).cut(key) == hashed


def test_other_characters() -> None:
    """The two characters can be chosen, and may be one and the same."""
    assert Tags(ord("<"), ord(">"), []).cut(b"{a}<b>") == b"b"
    assert Tags(ord("|"), ord("|"), []).cut(b"a|b|c") == b"b"


def test_off() -> None:
    """Without tags the whole key counts."""
    assert Tags(OFF, OFF, []).cut(b"{a}b") == b"{a}b"


@given(st.text("{}a\n", max_size=12))
def test_greedy_tags(key: str) -> None:
    """Exactly the regular expression of django-redis."""
    found = re.match(r".*\{(.*)\}.*", key)
    expected = key if found is None else found[1]

    assert Tags(GREEDY, GREEDY, []).cut(key.encode()) == expected.encode() == greedy_tag(key.encode())


def test_together() -> None:
    """Keys that begin alike are placed by what they begin with, the longest prefix counting."""
    tags = Tags(*BRACES, [b"job:", b"job:eu:", b"q"])

    assert [tags.cut(key) for key in (b"job:1", b"job:eu:1", b"q", b"queue", b"x{y}", b"jo", b"")] == [
        b"job:",
        b"job:eu:",
        b"q",
        b"q",
        b"y",
        b"jo",
        b"",
    ]


def test_prefix_wins_over_tag() -> None:
    """These keys meet whatever their names hold: braces in a queue's name do not take it out of its family."""
    tags = Tags(*BRACES, [b"@celery", b"job:"])

    assert tags.cut(b"_kombu.binding.{x}") == b"@celery"
    assert tags.cut(b"job:{x}") == b"job:"


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (
            b"@celery",
            b"celery celery\x06\x163 celery.pidbox celeryev.x celery-task-meta-1 celery-taskset-meta-1.j unacked "
            b"unacked_index unacked_mutex _kombu.binding.celery chord-unlock-1 0a-1b.reply.celery.pidbox\x06\x169 "
            b"_kombu.binding_deadlines celeryev.0a-1b\x06\x163 w@host.celery.pidbox w@host.celery.pidbox\x06\x163",
        ),
        (b"@rq", b"rq:job:1 rq:queue:default rq:queues rq:workers rq:wip:default rq:scheduler-lock:x"),
        (b"@dramatiq", b"dramatiq dramatiq:default dramatiq:default.DQ.msgs dramatiq:__acks__.w.default"),
        (b"@huey", b"huey.redis.app huey.schedule.app huey.results.app huey.r.app.1"),
        (b"@channels_redis", b"asgi:group:chat asgispecific.1234!"),
    ],
)
def test_sets(name: bytes, keys: bytes) -> None:
    """All keys of a library meet: they are hashed by the name of their set."""
    tags = Tags(*BRACES, [name])

    assert {tags.cut(key) for key in keys.split(b" ")} == {name}
    assert tags.cut(b"mine") == b"mine"


def test_set_and_its_prefix() -> None:
    """A prefix that is named alone as well stays with its set, or the set would not meet."""
    for together in ([b"rq:", b"@rq"], [b"@rq", b"rq:"]):
        assert Tags(*BRACES, together).cut(b"rq:job:1") == b"@rq"


def test_sets_have_no_prefix_in_common() -> None:
    """Two sets used at once do not take each other's keys."""
    prefixes = [prefix for found in SETS.values() for prefix in found]

    assert len(set(prefixes)) == len(prefixes)
    assert not [a for a in prefixes for b in prefixes if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (b"", "an empty prefix would put every key on one node"),
        (b"@rqq", "there is no set '@rqq'; known are @celery, @rq, @dramatiq, @huey, @channels_redis"),
    ],
)
def test_impossible(word: bytes, sentence: str) -> None:
    """What cannot be meant is said in a sentence."""
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Tags(*BRACES, [word])
