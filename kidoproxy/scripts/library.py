"""What the functions of a library do: each is analysed by itself, with the library's own functions that it calls.

Only what may hide a command counts for all of them.
"""

from typing import Final

from kidoproxy.scripts.analysis import Analysis, Analyzer
from kidoproxy.scripts.lexer import LuaSyntaxError
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.prologue_room import NO_ROOM, has_room
from kidoproxy.scripts.shared_state import REGISTRARS, SharedState, outside
from kidoproxy.scripts.syntax import NAME, ROLE_ALIASED, ROLE_TARGET, SyntaxNode, SyntaxTree
from kidoproxy.scripts.values import ValueTracker

#: Of the server's functions those that are others, or none, in a function of a library than in a script.
UNLIKE_IN_SCRIPTS: Final = frozenset(
    [server + b"." + name for server in (b"redis", b"server") for name in (b"replicate_commands", b"breakpoint")]
    + list(REGISTRARS)
)
#: How many names may be looked at for all functions together; beyond, each counts as doing what any of them does.
MAX_WORK: Final = 20_000


def analyze_library(code: bytes) -> dict[bytes, Analysis]:
    """The analyses of a library's functions by name; the empty name is for those whose names are not known."""
    found: dict[bytes, Analysis] = {}
    try:
        tree = parse(code)
    except LuaSyntaxError as problem:
        found[b""] = Analysis()
        found[b""].parse_error = str(problem)
        return found
    work = 0
    combined: Analysis | None = None
    values = ValueTracker(tree)
    shared_roots = shared_functions(tree, values)
    analyzer = Analyzer(tree, Analysis(), values)
    # What one function hands on to a place, another one may take from there.
    analyzer.analyze(tree.name_nodes, [])
    hidden_reason = analyzer.analysis.hidden_reason
    state = SharedState(tree, values, analyzer.scalars)
    load_reason = state.load_reason or reason_while_loading(analyzer, state)
    for name, roots in values.registered_functions.items():
        reachable = reachable_functions(tree, values, roots + shared_roots) if work < MAX_WORK else tree.functions
        work += sum([node.last_name - node.first_name for node in reachable])
        if work < MAX_WORK:
            found[name] = analyze_functions(analyzer, reachable, state)
            found[name].flags = values.registered_flags[name]
        else:
            combined = combined or analyze_functions(analyzer, tree.functions, state)
            combined.flags = None
            found[name] = combined
    if values.has_unresolved_registration or has_untracked_registration(tree, values):
        found[b""] = combined or analyze_functions(analyzer, tree.functions, state)
    for analysis in found.values():
        analysis.hidden_reason = hidden_reason
        if load_reason:
            analysis.mark_nondeterministic(load_reason)
        if not has_room(tree):
            analysis.mark_chance(NO_ROOM)
    return found


def has_untracked_registration(tree: SyntaxTree, values: ValueTracker) -> bool:
    """Whether something that may register functions is used in a way that is not followed."""
    for node in tree.name_nodes:
        if node.role != ROLE_ALIASED and id(node) not in values.registration_nodes:
            for path in values.global_paths(node):
                if path in REGISTRARS:
                    return True
    return False


def shared_functions(tree: SyntaxTree, values: ValueTracker) -> list[SyntaxNode]:
    """The functions that any other may call: through a table, or because they are named while the library loads."""
    followed = {id(function) for functions in values.local_functions for function in functions}
    for functions in values.registered_functions.values():
        followed |= {id(function) for function in functions}
    found: list[SyntaxNode] = []
    end = 0
    for function in tree.functions:
        # Inner functions lie within others, and are read with them.
        if function.first_name >= end:
            found += functions_of_names(tree.name_nodes[end : function.first_name], values)
            end = function.last_name
            if id(function) not in followed:
                found.append(function)
    return found + functions_of_names(tree.name_nodes[end:], values)


def functions_of_names(names: list[SyntaxNode], values: ValueTracker) -> list[SyntaxNode]:
    """The library's own functions that these names stand for, but where they are registered or assigned to."""
    found: list[SyntaxNode] = []
    for node in names:
        if (
            node.kind == NAME
            and node.slot >= 0
            and node.role != ROLE_TARGET
            and id(node) not in values.registration_nodes
        ):
            found += values.local_functions[node.slot]
    return found


def reachable_functions(tree: SyntaxTree, values: ValueTracker, roots: list[SyntaxNode]) -> list[SyntaxNode]:
    """These functions, those of the library's own that they name, and so on; inner ones lie within."""
    found: list[SyntaxNode] = []
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        function = stack.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        found.append(function)
        for node in tree.name_nodes[function.first_name : function.last_name]:
            if node.kind == NAME and node.slot >= 0:
                stack += values.local_functions[node.slot]
    return found


def reason_while_loading(analyzer: Analyzer, state: SharedState) -> str:
    """Why what the library does while it is loaded may come to another result on another node."""
    tree, outermost = analyzer.tree, state.outermost
    found = analyzer.start_function()
    analyzer.analyze(
        outside(tree.name_nodes, [(each.first_name, each.last_name) for each in outermost]),
        outside(tree.calls, [(each.first_call, each.last_call) for each in outermost]),
    )
    return found.nondeterministic_reason


def analyze_functions(analyzer: Analyzer, reachable: list[SyntaxNode], state: SharedState) -> Analysis:
    found = analyzer.start_function()
    if any(state.uses_state(function) for function in reachable):
        found.mark_nondeterministic("it uses a variable of its library that may change from call to call")
    tree = analyzer.tree
    for function in reachable:
        note_names_of_scripts(found, analyzer.values, tree.name_nodes[function.first_name : function.last_name])
        analyzer.analyze(
            tree.name_nodes[function.first_name : function.last_name],
            tree.calls[function.first_call : function.last_call],
        )
    return found


def note_names_of_scripts(found: Analysis, values: ValueTracker, names: list[SyntaxNode]) -> None:
    """What is not the same in functions as in scripts: copies cannot run a function that uses it as a script."""
    for node in names:
        is_global = node.kind == NAME and node.slot < 0
        paths = values.global_paths(node)
        if (is_global and node.text in (b"KEYS", b"ARGV")) or any(path in UNLIKE_IN_SCRIPTS for path in paths):
            found.mark_chance("it uses what is not the same in a function and in a script")


def merge_analyses(found: list[Analysis]) -> Analysis | None:
    """One analysis for a function that may be any of these; None when there are none."""
    if len(found) < 2:
        return found[0] if found else None
    merged = Analysis()
    for analysis in found:
        merged.parse_error = merged.parse_error or analysis.parse_error
        merged.hidden_reason = merged.hidden_reason or analysis.hidden_reason
        merged.unnamed_reason = merged.unnamed_reason or analysis.unnamed_reason
        merged.nondeterministic_reason = merged.nondeterministic_reason or analysis.nondeterministic_reason
        merged.chance_reason = merged.chance_reason or analysis.chance_reason
        merged.unknown_write = merged.unknown_write or analysis.unknown_write
        merged.written_forms.update(analysis.written_forms)
        merged.may_publish = merged.may_publish or analysis.may_publish
        for piece in analysis.pieces:
            merged.add_piece(piece)
        merged.key_command = merged.key_command or analysis.key_command
        merged.keyspace_command = merged.keyspace_command or analysis.keyspace_command
        merged.unknown_use = merged.unknown_use or analysis.unknown_use
        merged.used_forms.update(analysis.used_forms)
        merged.commands.update(analysis.commands)
        merged.dynamic_calls += analysis.dynamic_calls
        merged.undeclared_keys += analysis.undeclared_keys
        merged.sets_expiry = max(merged.sets_expiry, analysis.sets_expiry)
        merged.nameless_calls += analysis.nameless_calls
        merged.part_count += analysis.part_count
    return merged
