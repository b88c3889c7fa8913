"""What the functions of a library do: each is read by itself, with what it calls of the library's own.

Only what hides a command is held against all of them.
"""

from typing import Final

from kidoproxy.scripts.analysis import Analysis, Reading
from kidoproxy.scripts.lexer import Malformed
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.syntax import BOUND, NAME, TARGET, Node, Tree
from kidoproxy.scripts.values import Values

#: How much may be looked at for all functions of a library together; beyond, each counts as all of them.
MOST_WORK: Final = 20_000
REGISTRARS: Final = (b"redis.register_function", b"server.register_function")


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
    shared_by_all = anyones(tree, values)
    reading = Reading(tree, Analysis(), values)
    # What one function hides somewhere, another one may find there.
    reading.read(tree.names, [])
    hidden = reading.found.hidden
    for name, roots in values.registered.items():
        inside = reached(tree, values, roots + shared_by_all) if work < MOST_WORK else tree.functions
        work += sum([node.last_name - node.first_name for node in inside])
        if work < MOST_WORK:
            found[name] = read(reading, inside)
        else:
            shared = shared or read(reading, tree.functions)
            found[name] = shared
    if values.unclear or registers_elsewhere(tree, values):
        found[b""] = shared or read(reading, tree.functions)
    for analysis in found.values():
        analysis.hidden = hidden
    return found


def registers_elsewhere(tree: Tree, values: Values) -> bool:
    """Whether something that may register functions is used in a way that is not followed."""
    for node in tree.names:
        if node.role != BOUND and id(node) not in values.registering:
            for path in values.paths(node):
                if path in REGISTRARS:
                    return True
    return False


def anyones(tree: Tree, values: Values) -> list[Node]:
    """The functions that any other may call: a table may lead to them, or what they were called for while loading."""
    followed = {id(function) for functions in values.own for function in functions}
    for functions in values.registered.values():
        followed |= {id(function) for function in functions}
    found: list[Node] = []
    end = 0
    for function in tree.functions:
        # Inner ones lie within others, and are read with them.
        if function.first_name >= end:
            found += named(tree.names[end : function.first_name], values)
            end = function.last_name
            if id(function) not in followed:
                found.append(function)
    return found + named(tree.names[end:], values)


def named(names: list[Node], values: Values) -> list[Node]:
    """The library's own functions behind these names, but those that are there to be registered or replaced."""
    found: list[Node] = []
    for node in names:
        if node.kind == NAME and node.slot >= 0 and node.role != TARGET and id(node) not in values.registering:
            found += values.own[node.slot]
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


def joined(found: list[Analysis]) -> Analysis | None:
    """What a function may do that may be any of these; None when there are none."""
    if len(found) < 2:
        return found[0] if found else None
    one = Analysis()
    for each in found:
        one.unread = one.unread or each.unread
        one.hidden = one.hidden or each.hidden
        one.unnamed = one.unnamed or each.unnamed
        one.unsteady = one.unsteady or each.unsteady
        one.keyed = one.keyed or each.keyed
        one.whole = one.whole or each.whole
        one.commands.update(each.commands)
        one.dynamic += each.dynamic
        one.names += each.names
        one.nameless += each.nameless
        one.parts += each.parts
    return one
