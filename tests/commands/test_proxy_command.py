"""PROXY's own rows: they are commands like any other, with what users' rules go by."""

from kidoproxy.commands.find import find_by_name
from kidoproxy.commands.proxy_command import PROXY_ROWS
from kidoproxy.commands.spec import SESSION


def test_every_row_is_served_by_the_session() -> None:
    """The table that all requests are looked up in has the container and each subcommand."""
    for row in PROXY_ROWS:
        spec = find_by_name(row[0].encode())
        assert spec is not None, row
        assert (spec.arity, spec.reach) == (row[1], SESSION)


def test_what_may_harm_a_node_or_shows_data_is_for_administrators() -> None:
    """``-@admin`` and ``-@dangerous`` take away what their names say."""
    categories = {row[0]: row[6].split() for row in PROXY_ROWS}
    assert {name for name, words in categories.items() if "admin" in words} == {
        "proxy|bigkeys",
        "proxy|hotkeys",
        "proxy|slowlog",
        "proxy|node",
        "proxy|scrub",
        "proxy|sync",
    }
    assert all("dangerous" in words for words in categories.values() if "admin" in words)
