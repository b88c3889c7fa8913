"""What the functions of a library do: each is read by itself, with what it calls of the library's own.

Only what hides a command is held against all of them.
"""

from typing import Final

from kidoproxy.scripts.analysis import Analysis, Reading
from kidoproxy.scripts.lexer import Malformed
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.syntax import NAME, Node, Tree
from kidoproxy.scripts.values import Values

#: How much may be looked at for all functions of a library together; beyond, each counts as all of them.
MOST_WORK: Final = 20_000


def functions(code: bytes) -> dict[bytes, Analysis]:
    """The analyses of a library's functions by name; the empty name is for those whose names are not plain to see."""
    found: dict[bytes, Analysis] = {}
    try:
        tree = parse(code)
    except Malformed as problem:
        found[b""] = Analysis()
        found[b""].unread = str(problem)
        return found
    work = 0
    shared: Analysis | None = None
    values = Values(tree)
    reading = Reading(tree, Analysis(), values)
    # What one function hides somewhere, another one may find there.
    reading.read(tree.names, [])
    hidden = reading.found.hidden
    for name, roots in values.registered.items():
        inside = reached(tree, values, roots) if work < MOST_WORK else tree.functions
        work += sum([node.last_name - node.first_name for node in inside])
        if work < MOST_WORK:
            found[name] = read(reading, inside)
        else:
            shared = shared or read(reading, tree.functions)
            found[name] = shared
    if values.unclear:
        found[b""] = shared or read(reading, tree.functions)
    for analysis in found.values():
        analysis.hidden = hidden
    return found


def reached(tree: Tree, values: Values, roots: list[Node]) -> list[Node]:
    """These functions, and those of the library's own that they name, and so on; inner ones lie within."""
    found: list[Node] = []
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        found.append(function)
        for node in tree.names[function.first_name : function.last_name]:
            if node.kind == NAME and node.slot >= 0:
                waiting += values.own[node.slot]
    return found


def read(reading: Reading, inside: list[Node]) -> Analysis:
    """What these functions do."""
    found = reading.begin()
    tree = reading.tree
    for function in inside:
        reading.read(
            tree.names[function.first_name : function.last_name], tree.calls[function.first_call : function.last_call]
        )
    return found
