"""Whether an expression can be a table, and what is known of one.

It matters because what a table looks like differs from node to node: its address when it is printed, the order of its
fields when it is encoded.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.scripts.builtins import COMMAND_CALLERS, NON_MUTATING, SINGLE_SCALAR, STRING_METHODS
from kidoproxy.scripts.forms import MAX_FORMS, literal_text
from kidoproxy.scripts.syntax import (
    AND,
    APPEND_INDEX,
    CALL,
    CONCAT,
    CONSTANT,
    INDEX,
    LENGTH,
    METHOD,
    NAME,
    NUMBER,
    OR,
    PAREN,
    RANGE,
    ROLE_ALIASED,
    ROLE_VALUE,
    STRING,
    TABLE,
    UNKNOWN_NUMBER,
    SyntaxNode,
    SyntaxTree,
)
from kidoproxy.scripts.values import MAX_ALIAS_DEPTH, MAX_PASSES, ValueTracker

_SCALAR_KINDS: Final = (APPEND_INDEX, CONCAT, CONSTANT, LENGTH, NUMBER, UNKNOWN_NUMBER, RANGE, STRING)


@final
class ScalarAnalysis:
    """Which slots never are a table, found by assuming it of all and dropping what is refuted until nothing changes."""

    def __init__(self, tree: SyntaxTree, values: ValueTracker) -> None:
        self.tree = tree
        self.values = values
        #: For each slot whether it never is a table, and whether the functions that it stands for never return one.
        self.never_table = [True] * len(tree.slot_values)
        self.returns_scalar = [True] * len(tree.slot_values)
        self.run_to_fixpoint()
        self.mutated_tables = self.find_mutated_tables()

    def run_to_fixpoint(self) -> None:
        for _ in range(MAX_PASSES):
            before = sum(self.never_table) + sum(self.returns_scalar)
            for slot, values in enumerate(self.tree.slot_values):
                self.never_table[slot] = self.never_table[slot] and all(self.is_scalar(value, 0) for value in values)
                local_functions = self.values.local_functions[slot]
                returned = [value for function in local_functions for value in function.children]
                all_scalar = len(local_functions) == len(values) > 0 and all(
                    self.is_scalar(value, 0) for value in returned
                )
                self.returns_scalar[slot] = self.returns_scalar[slot] and all_scalar
            if sum(self.never_table) + sum(self.returns_scalar) == before:
                return
        self.never_table = [False] * len(self.never_table)
        self.returns_scalar = [False] * len(self.returns_scalar)

    def is_scalar(self, node: SyntaxNode, depth: int) -> bool:
        """Whether it never is a table or a function."""
        kind = node.kind
        if depth > MAX_ALIAS_DEPTH:
            return False
        if kind in _SCALAR_KINDS:
            return True
        if kind == NAME:
            return node.slot >= 0 and self.never_table[node.slot]
        if kind == INDEX:
            return self.values.sole_path(node.children[0]) in (b"KEYS", b"ARGV") and not self.values.inputs_mutated
        if kind in (AND, OR):
            return all(self.is_scalar(part, depth + 1) for part in node.children)
        if kind == PAREN:
            return self.is_scalar(node.children[0], depth + 1)
        if kind == METHOD:
            return node.text in STRING_METHODS and self.is_scalar(node.children[0], depth + 1)
        return kind == CALL and self.call_gives_scalar(node, depth)

    def call_gives_scalar(self, call_node: SyntaxNode, depth: int) -> bool:
        """Whether what the call returns never is a table or a function."""
        callee = call_node.children[0]
        path = self.values.sole_path(callee)
        if path in SINGLE_SCALAR:
            return True
        if path in COMMAND_CALLERS and len(call_node.children) > 1:
            names = [literal_text(form) for form in self.values.string_forms(call_node.children[1], depth + 1)]
            return bool(names) and all(name is not None and is_scalar_command(name) for name in names)
        return callee.kind == NAME and callee.slot >= 0 and self.returns_scalar[callee.slot]

    def has_stable_order(self, node: SyntaxNode, depth: int) -> bool:
        """Whether encoding it has no fields whose order may differ from node to node."""
        if node.kind == TABLE:
            if node.field_count > 1 or (node.field_count and node.children):
                return False
            return node.field_count == 0 and all(self.has_stable_order(part, depth + 1) for part in node.children)
        return self.is_scalar(node, depth)

    def gives_one_value(self, path: bytes) -> bool:
        """Whether this function gives exactly one value."""
        return path in SINGLE_SCALAR or path in COMMAND_CALLERS

    def known_elements(self, table: SyntaxNode) -> list[SyntaxNode]:
        """The first elements of a table that the script only ever adds to; each as one of several, if it may be."""
        if table.kind == TABLE:
            return table.children
        if table.kind != NAME or table.slot < 0 or table.slot in self.mutated_tables:
            return []
        constructors = self.tree.slot_values[table.slot]
        if len(constructors) > MAX_FORMS or any(each.kind != TABLE or each.field_count for each in constructors):
            return []
        # Behind the end of the shortest one may be what was added to it.
        length = min([len(each.children) for each in constructors], default=0)
        return [one_of([each.children[at] for each in constructors]) for at in range(length)]

    def find_mutated_tables(self) -> set[int]:
        """The slots whose table may be changed otherwise than by adding at its end."""
        found: set[int] = set()
        for node in self.tree.name_nodes:
            if node.kind == NAME and node.slot >= 0 and node.role in (ROLE_VALUE, ROLE_ALIASED):
                found.add(node.slot)
        for node in self.tree.assigned_nodes:
            base = node.children[0] if node.kind == INDEX else node
            if base.kind == NAME and base.slot >= 0 and not self.is_append(node.children[1], base.slot):
                found.add(base.slot)
        for call_node in self.tree.calls:
            path = self.values.sole_path(call_node.children[0])
            is_unchanged = path in NON_MUTATING or (path == b"table.insert" and len(call_node.children) == 3)
            for part in call_node.children[1:]:
                if part.kind == NAME and part.slot >= 0 and not is_unchanged:
                    found.add(part.slot)
        return found

    def is_append(self, key: SyntaxNode, slot: int) -> bool:
        """Whether this key of a table is the place behind its end."""
        return key.kind == APPEND_INDEX and key.children[0].kind == NAME and key.children[0].slot == slot


def one_of(nodes: list[SyntaxNode]) -> SyntaxNode:
    """An expression that may be any of these."""
    return nodes[0] if len(nodes) == 1 else SyntaxNode(OR, nodes[0].offset, b"", nodes)


def is_scalar_command(name: bytes) -> bool:
    """Whether the reply to this command is a string, a number or nothing: no table."""
    spec = COMMANDS.get(name.lower())
    return spec is not None and spec.gives_scalar
