"""What a command is stands in its spec: outside of ``kidoproxy/commands`` nobody decides by a command's name.

Read with ``ast``. Names in error texts and in requests that the proxy itself makes are no decisions.
"""

import ast
from collections.abc import Iterator

import pytest

from kidoproxy.commands.find import all_specs
from tests.test_architecture import SOURCES

NAMES = frozenset(spec.name for spec in all_specs())
#: The first words of what nodes push are these commands' names.
WORDS_OF_PUSHES = ("kidoproxy/session/pubsub/topics.py",)


def specs_name(node: ast.AST, aliases: set[str]) -> bool:
    """Whether this is a spec's name: ``spec.name``, or a variable that was set to it."""
    if isinstance(node, ast.Name):
        return node.id in aliases
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return False
    owner = ast.unparse(node.value)
    return owner.endswith("spec") or owner.startswith(("COMMANDS[", "find(", "find_by_name("))


def mentions(node: ast.AST, aliases: set[str]) -> bool:
    """Whether a spec's name is part of this."""
    return any(specs_name(part, aliases) for part in ast.walk(node))


def literal_names(nodes: list[ast.expr]) -> list[bytes]:
    """Those of these that are commands' names, written out."""
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, bytes) and value in NAMES]


def decides_by_name(node: ast.AST, aliases: set[str]) -> bool:
    """Whether a spec's name is compared, looked up in a table, or looked at in part."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        return any(specs_name(operand, aliases) for operand in operands) or any(
            b"|" in name for name in literal_names(operands)
        )
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return mentions(node.slice, aliases)
    if isinstance(node, ast.Match):
        return mentions(node.subject, aliases)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("startswith", "endswith", "partition", "split", "find", "index"):
            return specs_name(node.func.value, aliases)
        return node.func.attr in ("get", "pop", "index", "__contains__") and any(
            specs_name(argument, aliases) for argument in node.args
        )
    return False


def is_table_of_names(node: ast.AST) -> bool:
    """Whether this is a collection of commands' names, or has them as keys."""
    if isinstance(node, ast.Dict):
        elements = [key for key in node.keys if key is not None]
        return len(literal_names(elements)) > 1
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return len(node.elts) > 1 and len(literal_names(node.elts)) == len(node.elts)
    return False


def aliases_in(tree: ast.AST) -> set[str]:
    """The variables that are set to a spec's name and nothing else."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and specs_name(node.value, set()):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def scopes(tree: ast.Module) -> Iterator[tuple[ast.AST, set[str]]]:
    """Each node, and the variables that hold a spec's name there."""
    for top in ast.walk(tree):
        if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef):
            aliases = aliases_in(top)
            yield from ((node, aliases) for node in ast.walk(top))
    yield from ((node, set()) for node in ast.walk(tree))


def decisions(path: str, text: str) -> list[str]:
    """Every place of this file that decides by a command's name, as ``path:line: code``."""
    found = {
        (getattr(node, "lineno", 0), ast.unparse(node))
        for node, aliases in scopes(ast.parse(text))
        if decides_by_name(node, aliases) or (path not in WORDS_OF_PUSHES and is_table_of_names(node))
    }
    return [f"{path}:{line}: {code}" for line, code in sorted(found)]


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.startswith("kidoproxy/commands/")])
def test_what_a_command_is_stands_in_its_spec(path: str) -> None:
    """A command with a new name, or a new command, needs data and handlers, and no look at other code."""
    assert decisions(path, SOURCES[path]) == []


@pytest.mark.parametrize(
    "code",
    [
        'spec.name == b"watch"',
        'b"watch" != self.spec.name',
        "spec.name in TRANSACTION_COMMANDS",
        "queued.spec.name not in (FIRST, SECOND)",
        "command_name == COMMANDS[WORD].name",
        "ANSWERS[spec.name]",
        "ANSWERS.get(spec.name, default)",
        'spec.name.startswith(b"client|")',
        'self.command_name == b"script|load"',
        'name in (b"watch", b"monitor")',
        'handlers = {b"watch": start_watch, b"monitor": start_monitor}',
        "def f():\n    name = spec.name\n    return name in TABLE",
        'match spec.name:\n    case b"watch":\n        pass',
    ],
)
def test_every_way_to_decide_by_a_name_is_seen(code: str) -> None:
    """Compared with a literal or a table, as a key, in part, and by way of a variable."""
    assert len(decisions("kidoproxy/session/session.py", code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "errors.not_served(spec.name, reason)",
        'errors.wrong_arity(b"proxy|sync")',
        'encode_request([b"COMMAND", b"INFO", name])',
        "found[spec.name] = spec",
        'option == b"reset"',
        'mode in (b"async", b"sync")',
        "node.name in names",
        "def f():\n    name = node.name\n    return name in names",
    ],
)
def test_names_that_decide_nothing_pass(code: str) -> None:
    """In errors and in requests of our own, and what is no command's name."""
    assert decisions("kidoproxy/session/session.py", code) == []
