"""Families: every command has one, and a new group of the table is noticed."""

from kidoproxy.commands.families import (
    FAMILIES,
    MODULE_GROUP,
    RENAMED_GROUPS,
    UNKNOWN,
    UNKNOWN_FAMILY,
    FamilyCounter,
    family_number,
)
from kidoproxy.commands.find import COMMANDS, all_specs


def test_every_group_is_a_family() -> None:
    """Each group of the table is a family of its own; the two others are for what is not in the table."""
    groups = {spec.group for spec in all_specs()}
    names = {RENAMED_GROUPS.get(group, group) for group in groups}
    assert names == set(FAMILIES) - {MODULE_GROUP, UNKNOWN}
    assert len(set(FAMILIES)) == len(FAMILIES) == UNKNOWN_FAMILY + 1
    assert {FAMILIES[spec.family] for spec in all_specs()} == names


def test_commands() -> None:
    """The names are those of the reference, the categories of ACLs where these differ."""
    wanted = {
        b"get": "string",
        b"del": "keyspace",
        b"zadd": "sorted-set",
        b"exec": "transactions",
        b"proxy": "connection",
    }
    assert {name: FAMILIES[COMMANDS[name].family] for name in wanted} == wanted
    assert FAMILIES[family_number("whatever a newer server says")] == MODULE_GROUP


def test_a_counter() -> None:
    """It begins at nothing."""
    counter = FamilyCounter()
    counter.count += 1
    assert int(counter.count) == 1
