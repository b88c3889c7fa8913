"""``kidoproxy route``: keys, each followed by its way."""

from pathlib import Path

from tests.admin.cli.invoke import invoke
from tests.config.files import RING


def test_route(ring: str) -> None:
    """Each key is followed by its way."""
    result = invoke("route", "--config", ring, "a", "{a}b")

    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert (lines[0], lines[2]) == ("a", "{a}b")
    assert lines[1] == lines[4]


def test_route_needs_one_pool(tmp_path: Path) -> None:
    """When several pools listen, one must be chosen; a misspelt one gets a hint."""
    file = tmp_path / "two.toml"
    file.write_text(RING + RING.replace("cache", "other").replace("6380", "6381"))

    several = invoke("route", "--config", str(file), "k")
    assert several.exit_code == 2
    assert 'choose one with --pool: "cache", "other"' in several.output
    assert invoke("route", "--config", str(file), "--pool", "other", "k").exit_code == 0
    misspelt = invoke("route", "--config", str(file), "--pool", "cahce", "k")
    assert misspelt.exit_code == 2
    assert misspelt.output == 'two.toml: there is no pool "cahce"; did you mean "cache"?\n'
