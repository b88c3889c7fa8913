"""The guides say what the program does: each command on a page exists, and `kidoproxy import` writes their files."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner

from kidoproxy.admin.cli import main
from kidoproxy.config import Pool
from kidoproxy.config.read import load
from tests.live.guide import BLOCK, section, settings_in
from tests.test_docs import PAGES, page

DJANGO: Final = "kidoproxy/django/README.md"
#: A command in a block or in a line; what the shell does with it is cut off.
COMMAND: Final = re.compile(r"(?m)(?:^|`|\$ |&& |; |\| )(?:\S*/)?(kidoproxy [a-z][^`\n]*)")
SHELL: Final = re.compile(r" (?:[|>&#]|2>).*")


def commands(text: str) -> list[list[str]]:
    """Their words; sentences that begin with the name of the program are none."""
    found = [SHELL.sub("", line) for line in COMMAND.findall(text)]
    return [shlex.split(line)[1:] for line in found if line.split()[1] in main.commands and "=" not in line.split()[1]]


def parsed(words: list[str]) -> None:
    """Find the command and its options; a click.UsageError if there are none."""
    command: click.Command = main
    context = click.Context(main, info_name="kidoproxy")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
        if not words:
            return
    command.make_parser(context).parse_args(list(words))


def test_commands_exist() -> None:
    """With all their options, on every page."""
    found = [(path, words) for path in PAGES for words in commands(page(path))]
    assert len(found) > 40
    wrong = []
    for path, words in found:
        try:
            parsed(words)
        except click.BadOptionUsage:
            assert words[-1].startswith("-")  # a sentence about an option does not say its value
        except click.UsageError as error:
            wrong.append((path, words, error.format_message()))
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a `kidoproxy check --config x` b", [["check", "--config", "x"]]),
        (
            "```\n$ kidoproxy serve | tee log\n.venv/bin/kidoproxy ring diff a b  # so\n```",
            [["serve"], ["ring", "diff", "a", "b"]],
        ),
        ("kidoproxy looks like one Redis", []),
    ],
)
def test_commands_are_found(text: str, found: list[list[str]]) -> None:
    """In a block, in a line, behind a prompt; no sentence."""
    assert commands(text) == found


def test_a_wrong_command_is_seen() -> None:
    """An option that is not there, and a command that is none."""
    for words in (["serve", "--no-such"], ["ring", "merge"]):
        with pytest.raises(click.UsageError):
            parsed(words)


# -- what kidoproxy import writes --------------------------------------------------------------------------


def blocks(title: str, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(section(DJANGO, title)) if found == language]


def imported(source: str, text: str, folder: Path) -> dict[str, Pool]:
    """The pools that `kidoproxy import` writes, as the proxy reads them."""
    (folder / source).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["import", str(folder / source)])
    assert done.exit_code == 0, done.output
    (folder / "imported.toml").write_text(done.stdout, encoding="utf-8")
    return dict(load(folder / "imported.toml", {}).pools)


def written(title: str, folder: Path) -> dict[str, Pool]:
    """The pools of the file in the guide."""
    (folder / "guide.toml").write_text(blocks(title, "toml")[0], encoding="utf-8")
    return dict(load(folder / "guide.toml", {}).pools)


def placing(pool: Pool) -> tuple[Any, ...]:
    """All that decides where a key is."""
    return pool.mode, pool.ring, [(str(node.address), node.ring_name, node.weight) for node in pool.nodes]


def test_import_from_twemproxy(tmp_path: Path) -> None:
    """Of the YAML on the page comes the TOML on the page, its address included."""
    title = "From twemproxy"
    (ours,) = imported("nutcracker.yml", blocks(title, "yaml")[0], tmp_path).values()
    (theirs,) = written(title, tmp_path).values()
    assert (ours.name, ours.listen, placing(ours)) == (theirs.name, theirs.listen, placing(theirs))


def test_import_from_the_ancestor(tmp_path: Path) -> None:
    """Of the settings on the page come both pools."""
    title = "From django-kidoredis and django-redisdb"
    (settings,) = [text for text in blocks(title, "python") if text.startswith("# settings.py")]
    ours = imported("settings.py", settings, tmp_path)
    assert list(map(placing, ours.values())) == list(map(placing, written(title, tmp_path).values()))


def test_import_from_shard_client(tmp_path: Path) -> None:
    """Of the list of servers that the page tells of."""
    title = "From django-redis's ShardClient"
    (pool,) = written(title, tmp_path).values()
    (settings,) = [text for text in blocks(title, "python") if text.startswith("# settings.py")]
    conf = settings_in(settings)["CACHES"]["default"]
    conf |= {"LOCATION": [node.ring_name for node in pool.nodes], "OPTIONS": {"CLIENT_CLASS": "x.ShardClient"}}
    (ours,) = imported("settings.py", f"CACHES = { {'default': conf}!r}\n", tmp_path).values()
    assert placing(ours) == placing(pool)
