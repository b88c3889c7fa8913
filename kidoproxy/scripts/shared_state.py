"""What the functions of a library share: values that are made when it is loaded, and outlive a call.

If they change, what a function does depends on what ran before on this node, and that is not the same on all copies:
a function that only reads runs on one of them, and a restarted one begins anew. What is not proven to stay as it is
counts as changing.
"""

from typing import Final, final

from kidoproxy.scripts.builtins import DETERMINISTIC, NON_MUTATING, SINGLE_SCALAR, STRING_METHODS
from kidoproxy.scripts.scalars import ScalarAnalysis
from kidoproxy.scripts.syntax import (
    FUNCTION,
    INDEX,
    METHOD,
    NAME,
    ROLE_BASE,
    ROLE_CALLEE,
    ROLE_INSPECTED,
    ROLE_TARGET,
    TABLE,
    SyntaxNode,
    SyntaxTree,
)
from kidoproxy.scripts.values import ValueTracker

REGISTRARS: Final = (b"redis.register_function", b"server.register_function")
#: What a library may call while it is loaded, beside what gives a plain value.
_HARMLESS_CALLS: Final = frozenset([*REGISTRARS, *SINGLE_SCALAR, b"ipairs", b"unpack", b"cjson.decode"]) & DETERMINISTIC


@final
class SharedState:
    """``load_reason``: why the library may not be the same on every node; ``slots``: its variables that may change."""

    def __init__(self, tree: SyntaxTree, values: ValueTracker, scalars: ScalarAnalysis) -> None:
        self.tree = tree
        self.values = values
        self.scalars = scalars
        self.outermost = outermost_functions(tree)
        self.assigned = {id(node) for node in tree.assigned_nodes}
        bases = [node.children[0] for node in tree.assigned_nodes if node.kind == INDEX]
        self.slots_with_assigned_fields = {base.slot for base in bases if base.kind == NAME}
        #: Whether a slot only ever is what cannot change, and whether it is one table of such; as far as was asked.
        self.constant: dict[int, bool] = {}
        self.flat: dict[int, bool] = {}
        #: By the id of what is indexed, or passed: the index, and the call.
        self.index_of = {id(node.children[0]): node for node in tree.name_nodes if node.kind == INDEX}
        self.call_of = {id(part): node for node in tree.calls for part in node.children[1:]}
        self.load_reason = self.find_load_reason()
        self.slots = self.find_changing_slots()

    def uses_state(self, function: SyntaxNode) -> bool:
        """Whether the function uses a variable that may change."""
        names = self.tree.name_nodes[function.first_name : function.last_name]
        return any(node.kind == NAME and node.slot in self.slots for node in names)

    def find_load_reason(self) -> str:
        """A call while loading that is not known to be harmless."""
        tree = self.tree
        for call_node in outside(tree.calls, [(each.first_call, each.last_call) for each in self.outermost]):
            callee = call_node.children[0]
            paths = self.values.global_paths(callee)
            if not paths or not all(path in _HARMLESS_CALLS for path in paths):
                return "its library calls a function while it is loaded"
        for node in outside(tree.name_nodes, [(each.first_name, each.last_name) for each in self.outermost]):
            if node.kind == METHOD and node.text not in STRING_METHODS:
                return "its library calls a method while it is loaded"
            for path in self.values.global_paths(node):
                is_base = path in (b"redis", b"server") and node.role == ROLE_BASE
                if path.partition(b".")[0] in (b"redis", b"server") and not is_base and path not in REGISTRARS:
                    # What there is of it then is not what functions have of it when they are called.
                    return f"its library uses {path.decode('ascii', 'replace')} while it is loaded"
        return ""

    def find_changing_slots(self) -> set[int]:
        found: set[int] = set()
        for function in self.outermost:
            for node in self.tree.name_nodes[function.first_name : function.last_name]:
                is_shared = node.kind == NAME and 0 <= node.slot < function.first_slot
                if is_shared and (node.role == ROLE_TARGET or not self.stays_as_it_is(node)):
                    found.add(node.slot)
        return found

    def stays_as_it_is(self, node: SyntaxNode) -> bool:
        """Whether this use of a shared variable in a function leaves its value as it is."""
        if self.is_constant(node.slot):
            return True
        if not all(value.kind == TABLE or self.is_plain(value) for value in self.tree.slot_values[node.slot]):
            return False
        is_flat = self.is_flat(node.slot)
        index = self.index_of.get(id(node))
        if index is not None:
            return id(index) not in self.assigned and (is_flat or index.role == ROLE_CALLEE)
        call_node = self.call_of.get(id(node))
        if call_node is not None:
            return is_flat and self.values.sole_path(call_node.children[0]) in NON_MUTATING
        return is_flat and node.role == ROLE_INSPECTED

    def is_constant(self, slot: int) -> bool:
        """Whether it only ever is what cannot change: a string, a number, a function, something of the server's."""
        known = self.constant.get(slot)
        if known is None:
            known = self.constant[slot] = all(self.is_plain(value) for value in self.tree.slot_values[slot])
        return known

    def is_plain(self, value: SyntaxNode) -> bool:
        return (
            value.kind == FUNCTION
            or self.scalars.is_scalar(value, 0)
            or (value.kind in (NAME, INDEX) and bool(self.values.sole_path(value)))
        )

    def is_flat(self, slot: int) -> bool:
        """Whether it is one table of plain values, and gets no others."""
        known = self.flat.get(slot)
        if known is None:
            known = self.flat[slot] = slot not in self.slots_with_assigned_fields and self.is_table_of_plain(slot)
        return known

    def is_table_of_plain(self, slot: int) -> bool:
        values = self.tree.slot_values[slot]
        if len(values) != 1 or values[0].kind != TABLE or values[0].field_count != len(values[0].fields):
            return False
        return all(self.is_plain(part) for part in [*values[0].children, *values[0].fields.values()])


def outermost_functions(tree: SyntaxTree) -> list[SyntaxNode]:
    """The functions that lie in no other one."""
    found: list[SyntaxNode] = []
    for function in tree.functions:
        if not found or function.first_name >= found[-1].last_name:
            found.append(function)
    return found


def outside(nodes: list[SyntaxNode], ranges: list[tuple[int, int]]) -> list[SyntaxNode]:
    """The nodes that lie in none of these ranges."""
    found: list[SyntaxNode] = []
    done = 0
    for first, last in ranges:
        found += nodes[done:first]
        done = last
    return found + nodes[done:]
