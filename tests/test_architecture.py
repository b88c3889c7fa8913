"""The import law: which module may know of which, and what a pure package must not touch.

Imports point one way, from the session down to the bytes. Read with ``ast``, so an import under
``TYPE_CHECKING`` or inside a function counts too: knowing a room's types is knowing the room.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from deploy.compile_packages import IMPURE, ROOT, is_pure
from tests.layers import (
    CONFIG_READERS,
    DJANGO_MAY,
    FILE_LINES,
    FUNCTION_LINES,
    LAYER,
    PACKAGE,
    TABLES,
    TESTED_ELSEWHERE,
    WORLDLY,
)

pytestmark = pytest.mark.sources


@cache
def parsed(text: str) -> ast.Module:
    """Each file is parsed once for all rules."""
    return ast.parse(text)


def imports(tree: ast.Module, package: str, modules: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Each import of a module that lies in `package`, as (line, full name of the module that it knows)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in modules else base


def inside(name: str, rooms: tuple[str, ...]) -> bool:
    """Whether `name`, such as ``routes.build``, is one of `rooms` or lies in one of them."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def layer_of(name: str) -> int | None:
    """The layer of a module: of the longest prefix of its name that `LAYERS` has."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        layer = LAYER.get(".".join(parts[:length]))
        if layer is not None:
            return layer
    return None


def arrow(source: str, target: str) -> str | None:
    """Why module `source` must not import module `target`, both without the package's name; None if it may."""
    package, other = source.split(".")[0], target.split(".")[0]
    if target == "" or (package == other == "django"):
        return None
    if "django" in (package, other):
        return "the Django backends and the proxy's core do not know each other"
    if other == "config" and package != "config":
        return None if inside(source, CONFIG_READERS) else f"only {', '.join(CONFIG_READERS)} read the configuration"
    below, above = layer_of(target), layer_of(source)
    if below is None or above is None:
        return "a module that the law does not know; give it a layer in tests/layers.py"
    if below > above:
        return f"{target} does not lie below {source}"
    return None


def module_of(path: str) -> str:
    """``kidoproxy/resp/scan.py`` is ``kidoproxy.resp.scan``, ``kidoproxy/resp/__init__.py`` is ``kidoproxy.resp``."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: str) -> str:
    """The package that relative imports in the file at `path` start from."""
    return ".".join(path.split("/")[:-1])


def breaches(path: str, text: str, modules: frozenset[str]) -> list[str]:
    """Every line of the file that breaks the import law, as ``path:line: why``."""
    found = []
    source = module_of(path).removeprefix(PACKAGE).lstrip(".")
    django = source.split(".")[0] == "django"
    for line, target in imports(parsed(text), package_of(path), modules):
        top, _, rest = target.partition(".")
        why = None
        if top == PACKAGE:
            why = arrow(source, rest)
        elif is_pure(path) and top in WORLDLY:
            why = f"a pure room must not import {top}"
        elif django and top not in DJANGO_MAY and top not in sys.stdlib_module_names:
            why = f"the Django backends import {', '.join(DJANGO_MAY)} and the standard library, not {top}"
        if why is not None:
            found.append(f"{path}:{line}: imports {target}: {why}")
    return found


def task_makers(path: str, text: str) -> list[str]:
    """Every raw ``create_task`` or ``ensure_future`` of the file, as ``path:line: why``."""
    calls = (node for node in ast.walk(parsed(text)) if isinstance(node, ast.Call))
    return [
        f"{path}:{pending.lineno}: only {PACKAGE}/net/tasks.py makes tasks: it keeps them alive and logs their end"
        for pending in calls
        if (pending.func.attr if isinstance(pending.func, ast.Attribute) else getattr(pending.func, "id", ""))
        in ("create_task", "ensure_future")
    ]


def too_long(path: str, text: str) -> list[str]:
    """The file if it is too long to read in one sitting, and every function that does not fit on a screen."""
    lines = len(text.splitlines())
    found = [f"{path}: {lines} lines, more than {FILE_LINES}"] if lines > FILE_LINES else []
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES}")
    return found


def twin(path: str) -> str:
    """The test file of a source file: ``tests/resp/test_scan.py`` of ``kidoproxy/resp/scan.py``."""
    folder, _, name = path.removeprefix(f"{PACKAGE}/").rpartition("/")
    return "/".join(part for part in ("tests", folder, f"test_{name}") if part)


SOURCES: Final = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(Path(ROOT, PACKAGE).rglob("*.py"))
}
MODULES: Final = frozenset(map(module_of, SOURCES))
TEST_FILES: Final = sorted(path.relative_to(ROOT).as_posix() for path in Path(ROOT, "tests").rglob("*.py"))


def test_imports_point_one_way() -> None:
    """No arrow of the house points up or sideways, and the pure rooms know nothing of the world."""
    assert [found for path, text in SOURCES.items() for found in breaches(path, text, MODULES)] == []


def knows(path: str) -> set[str]:
    """The modules of the package that a file imports."""
    return {target for _, target in imports(parsed(SOURCES[path]), package_of(path), MODULES)} & MODULES


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every circle's members: groups of modules each of which reaches the others (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == index[module]:
            at = stack.index(module)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for module in graph:
        if module not in index:
            visit(module)
    return found


def test_no_files_know_each_other_in_a_circle() -> None:
    """Not by way of a third one either, and not for a type's sake."""
    assert circles({module_of(path): knows(path) - {module_of(path)} for path in SOURCES}) == []


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c", "a"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], found: list[list[str]]) -> None:
    """Each by all of its members; who only looks at one is none."""
    assert circles(graph) == found


def test_tasks_are_made_in_one_place() -> None:
    """A task that nobody holds may vanish half way: one file makes them all."""
    others = {path: text for path, text in SOURCES.items() if path != f"{PACKAGE}/net/tasks.py"}
    assert [found for path, text in others.items() for found in task_makers(path, text)] == []


def test_files_and_functions_stay_short() -> None:
    """A file is read in one sitting, a function on one screen."""
    assert [found for path, text in SOURCES.items() if path not in TABLES for found in too_long(path, text)] == []


def test_files_of_tests_stay_short() -> None:
    """They are read as often as the code."""
    lines = {path: len(Path(ROOT, path).read_text(encoding="utf-8").splitlines()) for path in TEST_FILES}
    assert {path: count for path, count in lines.items() if count > FILE_LINES} == {}


def test_every_source_file_has_its_test_file() -> None:
    """Who changes a file knows where its tests are."""
    wanted = [path for path in SOURCES if not path.endswith("__init__.py") and path not in TESTED_ELSEWHERE]
    assert [twin(path) for path in wanted if not Path(ROOT, twin(path)).exists()] == []


def test_the_list_of_exceptions_is_not_stale() -> None:
    """An exception is for a file that exists, has no test file of its own, and says why."""
    for path, reason in TESTED_ELSEWHERE.items():
        assert path in SOURCES
        assert not Path(ROOT, twin(path)).exists()
        assert reason


def test_the_compiler_and_the_coverage_report_mean_the_same_rooms() -> None:
    """What is pure for the compiler must be covered in every branch."""
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))
    command = project["tool"]["tox"]["env"]["py"]["commands"][-1]
    assert command[-1] == "--omit=" + ",".join(IMPURE)
    assert "--fail-under=100" in command


LAWFUL: Final = [
    ("kidoproxy/resp/scan.py", "from kidoproxy.resp.errors import error_reply"),
    ("kidoproxy/resp/scan.py", "from kidoproxy.resp import errors, limits"),
    ("kidoproxy/resp/scan.py", "from . import open"),
    ("kidoproxy/routes/build.py", "from kidoproxy.config import Config"),
    ("kidoproxy/net/serve.py", "import asyncio\nfrom kidoproxy.session import proxy_state"),
    ("kidoproxy/admin/http.py", "from kidoproxy.net.tasks import spawn"),
    ("kidoproxy/config/read.py", "from kidoproxy.resp.limits import CLIENTS"),
    ("kidoproxy/commands/generate.py", "import os"),
    ("kidoproxy/replies/merge.py", "from kidoproxy.replies.merge_info import merge_info"),
    ("kidoproxy/django/cache.py", "import os\nfrom django.conf import settings\nfrom redis import Redis"),
    ("kidoproxy/admin/cli.py", "from kidoproxy import __version__"),
]
UNLAWFUL: Final = [
    ("kidoproxy/resp/scan.py", "from kidoproxy.commands.find import find"),
    ("kidoproxy/resp/scan.py", "from kidoproxy.replies import queue"),
    ("kidoproxy/resp/scan.py", "from ..replies.queue import ReplyQueue"),
    ("kidoproxy/resp/scan.py", "from ..replies import queue"),
    ("kidoproxy/resp/scan.py", "import kidoproxy.replies.queue"),
    ("kidoproxy/resp/scan.py", "if TYPE_CHECKING:\n    from kidoproxy.replies.queue import ReplyQueue"),
    ("kidoproxy/resp/scan.py", "def f() -> None:\n    import kidoproxy.net.serve"),
    ("kidoproxy/resp/scan.py", "import asyncio"),
    ("kidoproxy/routes/ring.py", "from time import monotonic"),
    ("kidoproxy/routes/ring.py", "import kidoproxy.config"),
    ("kidoproxy/session/session.py", "from kidoproxy.net.tasks import spawn\nimport asyncio"),
    ("kidoproxy/config/read.py", "from kidoproxy.routes.build import build"),
    ("kidoproxy/net/serve.py", "from kidoproxy.admin.cli import main"),
    ("kidoproxy/resp/scan.py", "from kidoproxy.attic.things import thing"),
    ("kidoproxy/django/cache.py", "from kidoproxy.resp.scan import scan"),
    ("kidoproxy/django/cache.py", "import hiredis"),
    ("kidoproxy/resp/scan.py", "from kidoproxy.django.cache import KidoCache"),
]
MODULE_NAMES: Final = MODULES | {"kidoproxy.replies", "kidoproxy.session"}


@pytest.mark.parametrize(("path", "text"), LAWFUL)
def test_the_law_lets_good_imports_pass(path: str, text: str) -> None:
    """What the law allows is no breach."""
    assert breaches(path, text, MODULE_NAMES) == []


@pytest.mark.parametrize(("path", "text"), UNLAWFUL)
def test_the_law_sees_every_way_to_break_it(path: str, text: str) -> None:
    """However an import is written, a forbidden one is found."""
    assert len(breaches(path, text, MODULE_NAMES)) == 1


@pytest.mark.parametrize("text", ["asyncio.create_task(f())", "loop.create_task(f())", "ensure_future(f())"])
def test_a_raw_task_is_seen_however_it_is_made(text: str) -> None:
    """The loop's method, asyncio's function and a bare name are all found."""
    assert len(task_makers("kidoproxy/net/serve.py", text)) == 1


def test_a_long_function_and_a_long_file_are_seen() -> None:
    """Both bounds hold on their own."""
    body = "\n".join("    pass" for _ in range(FUNCTION_LINES))
    assert len(too_long("a.py", f"def f() -> None:\n{body}")) == 1
    assert len(too_long("a.py", "\n" * (FILE_LINES + 1))) == 1
    assert too_long("a.py", "async def f() -> None:\n    pass") == []


def nested_functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """The functions inside of `node`, but not those inside of these."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        else:
            yield from nested_functions(child)


def kept_for_ever(path: str, text: str) -> list[str]:
    """Every function inside of another that a function beside it, or it itself, calls, as ``path:line: why``."""
    found = []
    for function in ast.walk(parsed(text)):
        if not isinstance(function, ast.FunctionDef):
            continue
        inner = list(nested_functions(function))
        used = {node.id for each in inner for node in ast.walk(each) if isinstance(node, ast.Name)}
        found += [
            f"{path}:{each.lineno}: {each.name} is kept by {function.name}: make it a function of the module"
            for each in inner
            if each.name in used
        ]
    return found


def test_no_function_is_kept_by_those_beside_it() -> None:
    """Compiled, they share an object that then has the function, which has the object: garbage after each request."""
    pure = {path: text for path, text in SOURCES.items() if is_pure(path)}
    assert [found for path, text in pure.items() for found in kept_for_ever(path, text)] == []


def test_a_function_that_is_kept_is_seen() -> None:
    """By one beside it; who is only handed out is not."""
    used = "def f():\n def g():\n  pass\n def h():\n  g()\n return h"
    assert len(kept_for_ever("a.py", used)) == 1
    assert kept_for_ever("a.py", used.replace("  g()", "  pass")) == []
