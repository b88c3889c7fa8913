"""What the documents say is what the program does.

Tables that can be made from the source are compared with what it makes; the others are searched for what is
missing, and for what is no longer there.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.admin.metrics import own_snapshot
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.commands.find import all_specs
from kidoproxy.commands.generate import refused_table
from kidoproxy.commands.spec import COPY_REFUSED
from kidoproxy.config import example
from kidoproxy.config.read import load
from kidoproxy.config.schema import TOGETHER_SETS
from kidoproxy.resp import errors
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.placement.tags import NAMED_SETS
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.health import FAILURE_CAUSES

ROOT: Final = Path(__file__).resolve().parent.parent
COMMANDS: Final = "kidoproxy/commands/README.md"
LIBRARIES: Final = "kidoproxy/routes/README.md"
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
#: Every page for people.
PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for top in (".", "kidoproxy", "tests", "deploy")
    for path in (ROOT / top).glob("*.md" if top == "." else "**/*.md")
)
README_LINES: Final = 200

#: ``[text](target)``, but not in a block of code.
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
BLOCK: Final = re.compile(r"(?ms)^```.*?^```$")


def page(path: str) -> str:
    """The text of one file of the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def between(name: str, path: str) -> str:
    """The part of a page between two markers."""
    return page(path).split(f"<!-- {name} -->\n", 1)[1].split(f"<!-- /{name} -->", 1)[0].strip()


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


# -- lines to copy -------------------------------------------------------------------------------------


def test_the_first_run_is_one_line() -> None:
    """A newcomer copies one line: it installs what stands here and starts the program without a file."""
    line = 'python3 -m venv .venv && .venv/bin/pip install -q ".[demo]" && .venv/bin/kidoproxy serve'
    assert f"```sh\n{line}\n```" in README


def test_the_tests_are_one_line() -> None:
    """What a contributor copies to run all tests is the last line of continuous integration, word for word."""
    line = page(".ci/run").rstrip().splitlines()[-1]
    assert line.endswith("/tox -p")
    assert f"```sh\n{line}\n```" in README


def test_every_configuration_is_valid(tmp_path: Path) -> None:
    """A block of TOML on any page is a whole file that the program takes."""
    blocks = [block for path in PAGES for block in re.findall(r"(?ms)^```toml\n(.*?)^```$", page(path))]
    assert len(blocks) > 3
    for block in blocks:
        file = tmp_path / "readme.toml"
        file.write_text(block, encoding="utf-8")
        assert load(file, {}).listening_pools()


# -- tables that the source makes ------------------------------------------------------------------------


def test_settings() -> None:
    """The table of settings is what ``kidoproxy config --markdown`` prints."""
    assert between("settings", "kidoproxy/config/README.md") == example.markdown_table().strip()


def test_libraries() -> None:
    """The table of libraries has every set of ``together``, and no other."""
    found = [row[1].strip("`") for row in rows(between("libraries", LIBRARIES))]
    assert [name for name in found if name.startswith("@")] == list(NAMED_SETS)
    assert re.findall(r"`(@\w+)`", page(LIBRARIES).split("Django,", 1)[0]) == list(TOGETHER_SETS)


def test_metrics() -> None:
    """The table of metrics has every metric by the name that Prometheus shows, with its meaning, in order."""
    found = [
        [f"`{metric.name}{'_total' if metric.type == 'counter' else ''}`", metric.documentation]
        for metric in WorkerTotals().families(own_snapshot(ProxyState(Executor([]))))
    ]
    assert rows(between("metrics", "kidoproxy/admin/README.md")) == found


def test_causes_of_failures() -> None:
    """The table of causes has all that is counted for a node, in order."""
    assert [row[0].strip("`") for row in rows(between("causes", "kidoproxy/admin/README.md"))] == list(FAILURE_CAUSES)


def test_refused_commands() -> None:
    """The list of refused commands is what ``python -m kidoproxy.commands.generate --refused`` prints."""
    assert f"\n\n{refused_table()}\n" in page(COMMANDS)


def test_commands_that_copies_refuse() -> None:
    """The list of what only copy pools refuse has each such command with the reason that the client reads."""
    wanted = [
        [spec.name.decode().upper().replace("|", " "), spec.replication_reason]
        for spec in all_specs()
        if spec.replication == COPY_REFUSED and spec.replication_reason not in ("", spec.reason)
    ]
    table = page(COMMANDS).split("## In a copy pool\n", 1)[1]
    assert rows(table[table.index("|") :].strip()) == wanted


# -- the words that errors begin with --------------------------------------------------------------------


def words(source: str) -> Iterator[str]:
    """The code words in one source file: of whole frames, of sentences given to ``error_reply``, and their names."""
    for item in ast.walk(ast.parse(source)):
        if isinstance(item, ast.Constant) and isinstance(item.value, bytes):
            yield from re.findall(r"^-([A-Z]+)\b", item.value.decode("latin-1"))
        elif isinstance(item, ast.Call) and ast.unparse(item.func).rpartition(".")[2] == "error_reply" and item.args:
            yield from re.findall(r"^f?['\"]([A-Z]{3,}) ", ast.unparse(item.args[0]))


@pytest.mark.sources
def test_every_code_word_is_explained() -> None:
    """The table of errors has every word that the code can say or reacts to, once, and no other."""
    sources = [path for path in (ROOT / "kidoproxy").rglob("*.py") if path.name != "table.py"]
    said = {word for path in sources for word in words(path.read_text(encoding="utf-8"))}
    explained = [row[0].strip("`") for row in rows(between("errors", "kidoproxy/resp/README.md"))]

    assert len(explained) == len(set(explained))
    assert set(explained) == said | {errors.NODEDOWN, errors.TIMEOUT, errors.OVERLOADED, errors.BADREPLY}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('OLD = b"-LOADING kidoproxy\\r\\n"', ["LOADING"]),
        ('TROUBLE = (b"-BUSY ", b"-OOM")', ["BUSY", "OOM"]),
        ('errors.error_reply(f"PARTIAL {name}")', ["PARTIAL"]),
        ('error_reply("ERR " "cursor")', ["ERR"]),
        ('error_reply(f"{self.code} {self.node}")', []),
        ('word = b"-"; name = b"MULTI"; say("ERR no")', []),
    ],
)
def test_words_are_found_however_they_are_written(source: str, found: list[str]) -> None:
    """Frames, parts of frames, plain and formatted sentences are seen; other texts are not."""
    assert list(words(source)) == found


@pytest.mark.parametrize("code", [errors.NODEDOWN, errors.TIMEOUT, errors.OVERLOADED])
def test_failures_name_node_and_cause(code: str) -> None:
    """A node's failure begins with its code word and names the node, its address and the cause."""
    frame = NodeFailure(code, "cache-b", "10.0.0.2:6379", "connection refused", False).error_reply(False)

    assert frame == f"-{code} cache-b 10.0.0.2:6379 (connection refused)\r\n".encode()


# -- links -----------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    titles = re.findall(r"(?m)^#+ (.+)$", BLOCK.sub("", text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.sources
def test_links() -> None:
    """Every link leads to a file that is there, and to a heading that it has."""
    links = [(path, target) for path in PAGES for target in LINK.findall(BLOCK.sub("", page(path)))]
    for path, target in links:
        file, _, anchor = target.partition("#")
        goal = (ROOT / path).parent / file if file else ROOT / path
        assert goal.exists(), (path, target)
        assert not anchor or anchor in anchors(goal.read_text(encoding="utf-8")), (path, target)


# -- names -----------------------------------------------------------------------------------------------

SOURCES: Final = sorted(path for top in ("kidoproxy", "tests", "deploy") for path in (ROOT / top).rglob("*.py"))
#: ``name`` in single backticks; what stands in double ones may be anything.
REFERENCE: Final = re.compile(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)")


def known_names() -> set[str]:
    """Every word of the code outside such references, and the names of files and folders."""
    files = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(ROOT).parts}
    return files | {word for path in SOURCES for word in re.findall(r"\w+", REFERENCE.sub("", path.read_text("utf-8")))}


@pytest.mark.sources
def test_names_that_are_referred_to_exist() -> None:
    """A docstring or a comment that speaks of a name speaks of one that the code has, also after a renaming."""
    known = known_names()
    stale = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in REFERENCE.findall(path.read_text(encoding="utf-8"))
        if not known.issuperset(name.split("."))
    ]
    assert stale == []


def test_the_readme_can_be_read_in_one_sitting() -> None:
    """It stays short enough to be read."""
    assert len(README.splitlines()) < README_LINES


#: What stands beside the package; names that begin with a dot are the tools'.
TOP_LEVEL: Final = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "deploy",
    "docker-compose.yml",
    "kidoproxy",
    "pyproject.toml",
    "tests",
}


def test_the_top_level_has_nothing_else() -> None:
    """What a tool has left behind is not committed. Without a repository there is nothing to ask."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = {path.split("/")[0] for path in listed.stdout.splitlines()}
    assert {name for name in tracked if not name.startswith(".")} <= TOP_LEVEL
