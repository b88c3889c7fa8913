"""The lists of what is peculiar to some commands: they agree with what servers say, where servers say it."""

import pytest

from kidoproxy.commands import overlay_traits
from kidoproxy.commands.find import COMMANDS, all_specs, find_by_name
from kidoproxy.commands.spec import (
    ALL_NODES,
    BLOCKING,
    CHANNEL_NODE,
    COPY_READ,
    IN_MULTI_QUEUED,
    IN_MULTI_REFUSED,
    LOCAL,
    REFUSED,
    SCAN_NODES,
    SCRIPT_DIGEST,
    SCRIPT_FUNCTION,
    SCRIPT_NONE,
    SCRIPT_TEXT,
    SESSION,
    STREAM_KEYS,
    SUBSCRIBE,
    SUM_BY_NAME,
    TOPIC_NONE,
    WRITE,
)


def test_a_name_that_the_table_lacks_does_not_pass_in_silence() -> None:
    """A typing error in a list fails at import, not when the first client sends the command."""
    with pytest.raises(KeyError):
        overlay_traits.apply_traits({})


def test_what_runs_a_script() -> None:
    """The six commands that run scripts, by what their first argument is, and nothing else."""
    sources = {spec.name: spec.script_source for spec in all_specs() if spec.script_source != SCRIPT_NONE}
    assert sources == {
        **dict.fromkeys((b"eval", b"eval_ro"), SCRIPT_TEXT),
        **dict.fromkeys((b"evalsha", b"evalsha_ro"), SCRIPT_DIGEST),
        **dict.fromkeys((b"fcall", b"fcall_ro"), SCRIPT_FUNCTION),
    }
    assert all(COMMANDS[name].is_scripting for name in sources)


def test_what_speaks_of_all_keys_is_sent_to_all_nodes() -> None:
    """A command that covers the keyspace cannot be left to one node of a ring."""
    for spec in all_specs():
        if spec.covers_keyspace:
            assert spec.reach in (ALL_NODES, SCAN_NODES), spec


def test_a_scan_of_one_key_is_a_read_whose_cursor_stands_second() -> None:
    """They go to the leader, and nothing but their own cursor says where they were begun."""
    scans = [spec for spec in all_specs() if spec.is_key_scan]
    assert [spec.name for spec in scans] == [b"hscan", b"sscan", b"zscan"]
    assert all(spec.replication == COPY_READ and spec.arity == -3 for spec in scans)


def test_every_own_time_out_belongs_to_a_command_that_blocks() -> None:
    """Whoever waits says for how long: in an argument, or in the option BLOCK."""
    for spec in all_specs():
        if spec.flags & BLOCKING and spec.reach != REFUSED:
            assert (spec.timeout_position != 0) != (spec.key_finder == STREAM_KEYS), spec


def test_what_servers_call_uncertain_is_nondeterministic() -> None:
    """Their tips are believed; two commands have none and are."""
    for spec in all_specs():
        if "nondeterministic_output" in spec.tips:
            assert spec.is_nondeterministic, spec
    for name in (b"memory|usage", b"xinfo|stream"):
        spec_without_tip = find_by_name(name)
        assert spec_without_tip is not None
        assert spec_without_tip.is_nondeterministic
    assert not COMMANDS[b"get"].is_nondeterministic


def test_what_gives_a_scalar_takes_keys() -> None:
    """None of them is a container, and none but PUBLISH does without a key."""
    for spec in all_specs():
        if spec.gives_scalar:
            assert spec.subcommands is None
            assert spec.key_specs or spec.name == b"publish", spec
            assert spec.may_write or spec.flags & WRITE == 0


def test_what_is_sent_to_nodes_is_queued_in_multi() -> None:
    """Of all that servers queue the proxy refuses what is about its own connections to clients and to nodes."""
    for spec in all_specs():
        if spec.in_multi != IN_MULTI_QUEUED:
            assert spec.reach in (SESSION, LOCAL, SUBSCRIBE) or spec.name in (b"watch", b"monitor"), spec
        if spec.reach == SUBSCRIBE or spec.name.startswith(b"proxy|"):
            assert spec.in_multi == IN_MULTI_REFUSED, spec


def test_who_has_subscriptions_may_end_them() -> None:
    """The nine commands of Redis's own error message, and no other."""
    names = {spec.name for spec in all_specs() if spec.runs_in_subscriber_mode}
    subscribing = {spec.name for spec in all_specs() if spec.reach == SUBSCRIBE}
    assert len(subscribing) == 6
    assert names == subscribing | {b"ping", b"quit", b"reset"}


def test_what_has_a_topic() -> None:
    """All that subscribes, publishes or counts by name; of the other commands of the group nothing is asked."""
    for spec in all_specs():
        has_topic = spec.reach in (SUBSCRIBE, CHANNEL_NODE) or spec.response_policy == SUM_BY_NAME
        assert (spec.topic_kind != TOPIC_NONE) == has_topic, spec


def test_a_nested_command_stands_behind_all_that_is_said_of_it() -> None:
    """So many arguments are needed, at least, that the nested command has a name."""
    nested = {spec.name: spec.nested_at for spec in all_specs() if spec.nested_at}
    assert nested == {b"proxy|each": 2, b"proxy|node": 3}
    assert all(spec.accepts(spec.nested_at + 1) for spec in all_specs() if spec.nested_at)
    assert not any(spec.accepts(spec.nested_at) for spec in all_specs() if spec.nested_at)
