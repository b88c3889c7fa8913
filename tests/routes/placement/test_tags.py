"""What is hashed of a key: tags as in Redis Cluster, families as the operator configures them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kidoproxy.routes.placement.tags import GREEDY, NAMED_SETS, OFF, Tags, greedy_tag, prefixes_of

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
    assert Tags(*BRACES, []).hashed_part(key) == hashed


def test_other_characters() -> None:
    """The two characters can be chosen, and may be one and the same."""
    assert Tags(ord("<"), ord(">"), []).hashed_part(b"{a}<b>") == b"b"
    assert Tags(ord("|"), ord("|"), []).hashed_part(b"a|b|c") == b"b"


def test_off() -> None:
    """Without tags the whole key counts."""
    assert Tags(OFF, OFF, []).hashed_part(b"{a}b") == b"{a}b"


@given(st.text("{}a\n", max_size=12))
@example("a}b")
@example("{a}b")
def test_greedy_tags(key: str) -> None:
    """Exactly the regular expression of django-redis."""
    found = re.match(r".*\{(.*)\}.*", key)
    expected = key if found is None else found[1]

    assert Tags(GREEDY, GREEDY, []).hashed_part(key.encode()) == expected.encode() == greedy_tag(key.encode())


def test_together() -> None:
    """Keys that begin alike are placed by what they begin with, the longest prefix counting."""
    tags = Tags(*BRACES, [b"job:", b"job:eu:", b"q"])

    assert [tags.hashed_part(key) for key in (b"job:1", b"job:eu:1", b"q", b"queue", b"x{y}", b"jo", b"")] == [
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

    assert tags.hashed_part(b"_kombu.binding.{x}") == b"@celery"
    assert tags.hashed_part(b"job:{x}") == b"job:"


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
        (b"@bullmq", b"bull:mail:wait bull:mail:1 bull:mail:meta"),
        (b"@beequeue", b"bq:mail:jobs bq:mail:waiting"),
        (b"@resque", b"resque:queue:mail resque:queues resque:workers"),
        (b"@sidekiq", b"queue:default queue:mail schedule retry dead processes stat:processed stat:failed:2026-01-01"),
        (b"@laravel", b"queues:default queues:default:reserved laravel_database_queues:default:notify"),
        (b"@arq", b"arq:queue arq:job:1 arq:in-progress:1 arq:result:1"),
        (b"@saq", b"saq:default:queued saq:job:default:1"),
        (b"@streaq", b"streaq:default:queues: streaq:default:task:1"),
        (b"@limits", b"LIMITS:LIMITER/a/1/1/minute LIMITS:{LIMITER/a/1/1/minute}/-1"),
        (b"@litestar", b"LITESTAR:a LITESTAR_CHANNELS_NEWS"),
        (b"@python_redis_lock", b"lock:a lock-signal:a"),
        (b"@bottleneck", b"b_x_settings b_x_job_weights"),
        (b"@throttled", b"throttled:v1:token_bucket:a"),
        (b"@self_limiters", b"__self-limiters:a"),
    ],
)
def test_sets(name: bytes, keys: bytes) -> None:
    """All keys of a library meet: they are hashed by the name of their set."""
    tags = Tags(*BRACES, [name])

    assert {tags.hashed_part(key) for key in keys.split(b" ")} == {name}
    assert tags.hashed_part(b"mine") == b"mine"


def test_set_and_its_prefix() -> None:
    """A prefix that is named alone as well stays with its set, or the set would not meet."""
    for together in ([b"rq:", b"@rq"], [b"@rq", b"rq:"]):
        assert Tags(*BRACES, together).hashed_part(b"rq:job:1") == b"@rq"


def test_a_set_that_loses_nothing() -> None:
    """A prefix of a set that is named in a group as well takes the whole set along: what is named together meets."""
    group = (b"mine:", b"queue:")
    for together in ((b"@sidekiq", group), (group, b"@sidekiq")):
        tags = Tags(*BRACES, together)
        assert {tags.hashed_part(key) for key in (b"queue:x", b"schedule", b"mine:1")} == {b"@sidekiq"}


def test_groups() -> None:
    """Several prefixes are kept on one node; the first one says on which, and a group that grows stays there."""
    for group in ([b"walrus|", b"temp."], [b"walrus|", b"temp.", b"more"]):
        tags = Tags(*BRACES, [tuple(group), b"lock:"])
        assert {tags.hashed_part(key) for key in (b"walrus|x:1", b"temp.1", b"temp.{x}")} == {b"walrus|"}
        assert tags.hashed_part(b"lock:1") == b"lock:"
        assert tags.has_prefixes


def test_groups_with_sets() -> None:
    """A group may complete a set: its keys stay where they are, and what is found by its middle goes with them."""
    for group in ((b"@celery", b"mail", b"news"), (b"mail", b"@celery")):
        tags = Tags(*BRACES, [group])
        keys = (b"mail", b"mail\x06\x163", b"celery", b"unacked", b"0a-1b.reply.celery.pidbox")
        assert {tags.hashed_part(key) for key in keys} == {b"@celery"}


WORDS = st.sampled_from([b"a:", b"b:", b"c:", b"d:", b"e:", b"@rq", b"@bullmq", b"@sidekiq", b"@python_redis_lock"])


@given(st.lists(st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=4).map(tuple)), max_size=6))
def test_what_is_named_together_meets(together: list[bytes | tuple[bytes, ...]]) -> None:
    """Whatever else is said: all prefixes of a set, and all of a group, are hashed alike, by one of their own words."""
    tags = Tags(*BRACES, together)
    for place in together:
        words = (place,) if isinstance(place, bytes) else place
        hash_keys = {tags.hash_key(prefix + b"x") for word in words for prefix in prefixes_of(word)}
        assert len(hash_keys) == 1
        assert hash_keys <= {word for one in together for word in ((one,) if isinstance(one, bytes) else one)}


def test_sets_have_no_prefix_in_common() -> None:
    """Two sets used at once do not take each other's keys."""
    prefixes = [prefix for found in NAMED_SETS.values() for prefix in found]

    assert len(set(prefixes)) == len(prefixes)
    assert not [a for a in prefixes for b in prefixes if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        (b"", "an empty prefix would put every key on one node"),
        (b"@rqq", f"there is no set '@rqq'; known are {', '.join(NAMED_SETS)}"),
    ],
)
def test_impossible(word: bytes, sentence: str) -> None:
    """A mistake is an error with a sentence."""
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Tags(*BRACES, [word])


@pytest.mark.parametrize(
    ("beginning", "hashed"),
    [
        (b"", None),
        (b"x", None),
        (b"{t}", b"t"),
        (b"x{t}y", b"t"),
        (b"x{t", None),
        (b"{}x", None),
        (b"job:", b"job:"),
        (b"job:x", b"job:"),
        (b"job:eu:{t}", b"job:eu:"),
        (b"jo", None),
        (b"j", None),
        (b"q", b"q"),
        (b"qu{t}", b"q"),
        (b"rq:1", b"@rq"),
        (b"r", None),
    ],
)
def test_hashed_part_of_prefix(beginning: bytes, hashed: bytes | None) -> None:
    """What all keys that begin so have in common, if there is such a thing."""
    tags = Tags(*BRACES, [b"job:", b"job:eu:", b"q", b"@rq"])
    # Whatever follows may be the longer prefix.
    assert tags.hashed_part_of_prefix(beginning) == (None if beginning == b"job:" else hashed)


@given(st.text("{}ajo:b", max_size=6), st.text("{}ajo:b", max_size=6))
def test_hashed_part_of_prefix_holds(beginning: str, rest: str) -> None:
    """However a key goes on, the answer for its beginning holds."""
    family = Tags(*BRACES, [b"a", b"job:", b"job:b", b"o:"])
    for tags in (family, Tags(*BRACES, []), Tags(OFF, OFF, []), Tags(GREEDY, GREEDY, [])):
        hashed = tags.hashed_part_of_prefix(beginning.encode())
        assert hashed in (None, tags.hashed_part((beginning + rest).encode()))
