"""What a script calls and whether every copy would come to the same result, as far as its text proves it.

`Analysis` is what is remembered for each text. It errs on the side of refusal in all that hides a command or makes a
result uncertain; it says nothing of a key that cannot be computed from text and request.
"""

import re
from typing import Final, final

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.expiry_effect import ANY_KEYS, NAMED_KEYS, NO_KEYS, trait_in_script
from kidoproxy.commands.find import COMMANDS, resolve_subcommand
from kidoproxy.commands.keys import key_positions, keyspace_pattern
from kidoproxy.commands.request_traits import sort_pattern_positions
from kidoproxy.commands.spec import CHANNEL_NODE, EXPIRY_SET, SORT_KEYS, CommandSpec
from kidoproxy.scripts.builtins import COMMAND_CALLERS, DETERMINISTIC, NON_MUTATING, NONDETERMINISTIC, UNTRACEABLE
from kidoproxy.scripts.determinism import UNKNOWN_ARGUMENT, ScriptCall, is_deterministic
from kidoproxy.scripts.forms import (
    ANY_TEXT,
    ARGV_RANGE,
    KEYS_ANY,
    UNKNOWN_FORM,
    StringForm,
    UndeclaredKey,
    literal_text,
    reads_no_key,
)
from kidoproxy.scripts.lexer import LuaSyntaxError
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.prologue import PIECES_OF_NAMES
from kidoproxy.scripts.prologue_room import NO_ROOM, has_room
from kidoproxy.scripts.scalars import ScalarAnalysis
from kidoproxy.scripts.syntax import (
    EACH_INDEX,
    INDEX,
    NAME,
    OTHER,
    ROLE_ALIASED,
    ROLE_ARGUMENT,
    ROLE_BASE,
    ROLE_CALLEE,
    ROLE_INSPECTED,
    ROLE_TARGET,
    ROLE_VALUE,
    SyntaxNode,
    SyntaxTree,
)
from kidoproxy.scripts.values import ANY_PATH, NAMESPACES, ValueTracker, gives_many_values
from kidoproxy.scripts.written_keys import is_declared, used_forms, written_forms

#: Commands that are about all keys of a node: in a script they see one node's.
KEYSPACE_COMMANDS: Final = frozenset([spec.name for spec in COMMANDS.values() if spec.covers_keyspace])
#: At most so many parts may the names of a script's keys have in all; real scripts have some hundred.
MAX_KEY_PARTS: Final = 2048
MAX_UNPACKED: Final = 4096
#: About how many bytes of memory a part, and a command, take.
PART_BYTES: Final = 100
#: Without one of these words no script reaches a command.
_CAN_REACH_COMMANDS: Final = re.compile(rb"redis|server|_G|load|dofile|getfenv|require|module|package|debug")


@final
class Analysis:
    """What is known of one script or function. A reason is empty where there is nothing to say.

    * ``parse_error``: why the text could not be read; nothing else is known then;
    * ``hidden_reason``: what may hide a command that it calls;
    * ``unnamed_reason``: that a command's name is not written in the text;
    * ``nondeterministic_reason``: why copies might come to different results, if they run the text as it is;
    * ``chance_reason``: why they might even with a prologue (see `kidoproxy.scripts.prologue`) of these ``pieces``;
    * ``flags``: of a function, those that it is registered with, None if they are not known; of a script none;
    * ``unknown_write``: a command that may write to keys which the text does not say; ``written_forms``: the undeclared
      keys that the others may write to; ``unknown_use`` and ``used_forms``: the same of all keys that it uses;
      ``may_publish``: whether it may send messages;
    * ``commands``: what it calls, by full name, with the specs of those that the table has;
    * ``key_command``: the first that needs a key; ``keyspace_command``: the first that is about a whole node;
    * ``dynamic_calls``: those whose command the request names (see `kidoproxy.scripts.resolve`);
      ``nameless_calls``: how many calls have no name in the text, the dynamic ones included;
    * ``sets_expiry``: of which keys it may set the expiry, a constant of `kidoproxy.commands.expiry_effect`;
    * ``undeclared_keys``: keys to look at with each request, of ``part_count`` parts in all.
    """

    def __init__(self) -> None:
        self.parse_error = ""
        self.hidden_reason = ""
        self.unnamed_reason = ""
        self.nondeterministic_reason = ""
        self.chance_reason = ""
        self.pieces: list[str] = []
        self.flags: list[bytes] | None = []
        self.unknown_write = b""
        self.written_forms: dict[StringForm, bool] = {}
        self.unknown_use = False
        self.used_forms: dict[StringForm, bool] = {}
        self.may_publish = False
        self.key_command = b""
        self.keyspace_command = b""
        self.commands: dict[bytes, CommandSpec | None] = {}
        self.dynamic_calls: list[ScriptCall] = []
        self.undeclared_keys: list[UndeclaredKey] = []
        self.sets_expiry = NO_KEYS
        self.nameless_calls = 0
        self.part_count = 0
        #: The command that a pool does not serve, and why, by the command set that was asked; it may get another one.
        self.denied_command = b""
        self.denied_reason = ""
        self.denied_by: CommandSet | None = None

    def mark_hidden(self, reason: str) -> None:
        """It may hide a command; the first reason is kept."""
        self.hidden_reason = self.hidden_reason or reason

    def mark_nondeterministic(self, reason: str, curable: bool = False) -> None:
        """Copies might come to different results, unless ``curable`` by a prologue; the first reasons are kept."""
        self.nondeterministic_reason = self.nondeterministic_reason or reason
        if not curable:
            self.mark_chance(reason)

    def add_piece(self, piece: str) -> None:
        """A prologue must have this piece, unless it is empty."""
        if piece and piece not in self.pieces:
            self.pieces.append(piece)

    def mark_chance(self, reason: str) -> None:
        """A prologue would not make copies come to the same result; the first reason is kept."""
        self.chance_reason = self.chance_reason or reason

    def memory_bytes(self) -> int:
        """About how many bytes it takes to remember this."""
        return PART_BYTES * (
            4 + self.part_count + len(self.commands) + 4 * len(self.dynamic_calls) + 2 * len(self.used_forms)
        )

    def replication_refusal(self) -> str:
        """Why copies must not run the text as it is; empty when they may."""
        return self.parse_error or self.hidden_reason or self.unnamed_reason or self.nondeterministic_reason


def analyze(text: bytes) -> Analysis:
    """Read a script. Work grows with its length, up to a bound; beyond, it is a ``parse_error``."""
    found = Analysis()
    try:
        tree = parse(text)
    except LuaSyntaxError as problem:
        # A text without any of these words calls nothing, and the node has the right error for it.
        if _CAN_REACH_COMMANDS.search(text) is not None:
            found.parse_error = str(problem)
        return found
    analyzer = Analyzer(tree, found, ValueTracker(tree))
    analyzer.analyze(tree.name_nodes, tree.calls)
    for node in tree.assigned_nodes:
        analyzer.visit_assignment(node)
    if not has_room(tree):
        found.mark_chance(NO_ROOM)
    return found


@final
class Analyzer:
    """Walks a syntax tree and writes down what it finds in an `Analysis`."""

    def __init__(self, tree: SyntaxTree, found: Analysis, values: ValueTracker) -> None:
        self.tree = tree
        self.analysis = found
        self.values = values
        self.detect_input_mutation()
        self.scalars = ScalarAnalysis(tree, self.values)
        self.seen_keys: set[tuple[bytes, StringForm]] = set()
        #: How many values have come out of tables, which may be unpacked again and again.
        self.unpacked_count = 0

    def start_function(self) -> Analysis:
        """Begin a new analysis, for the next function of a library."""
        self.analysis = Analysis()
        self.seen_keys = set()
        return self.analysis

    def analyze(self, names: list[SyntaxNode], calls: list[SyntaxNode]) -> None:
        for node in names:
            for path in self.values.global_paths(node) if node.role != ROLE_TARGET else []:
                self.visit_name(path, node.role)
        for call_node in calls:
            self.visit_call(call_node)

    def detect_input_mutation(self) -> None:
        """Find out whether the script may change KEYS or ARGV, whose elements are unknown then."""
        values = self.values
        bases = [node if node.kind == NAME else node.children[0] for node in self.tree.assigned_nodes]
        escaping = [node for node in self.tree.name_nodes if node.role == ROLE_VALUE]
        if (
            any(may_be_input(values.global_paths(node)) for node in bases)
            or any(may_be_input(values.global_paths(node)) for node in escaping)
            or any(self.may_change_input(call_node) for call_node in self.tree.calls)
        ):
            values.inputs_mutated = True
        values.form_cache.clear()

    def may_change_input(self, call_node: SyntaxNode) -> bool:
        """Whether KEYS or ARGV is passed to a function that may change it; the script's own are followed."""
        values = self.values
        callee = call_node.children[0]
        if not any(
            part.role == ROLE_ARGUMENT and may_be_input(values.global_paths(part)) for part in call_node.children
        ):
            return False
        if callee.kind == NAME and callee.slot >= 0 and values.local_functions[callee.slot]:
            return False
        paths = values.global_paths(callee)
        return not paths or not all(path in NON_MUTATING for path in paths)

    # -- names -----------------------------------------------------------------------------------------------

    def visit_name(self, path: bytes, role: int) -> None:
        """A global name in this role."""
        text = path.decode("ascii", "replace")
        root = path.partition(b".")[0]
        if path in COMMAND_CALLERS:
            if role not in (ROLE_CALLEE, ROLE_ALIASED):
                self.analysis.mark_hidden(f"it hands {text} around")
        elif path == ANY_PATH or root in UNTRACEABLE or path in (b"redis.?", b"server.?"):
            self.analysis.mark_hidden(f"it uses {'too many names for one thing' if path == ANY_PATH else text}")
        elif path in (b"redis", b"server"):
            if role not in (ROLE_BASE, ROLE_ALIASED):
                self.analysis.mark_hidden(f"it hands {text} around")
        elif path in NONDETERMINISTIC:
            if path not in (b"tostring", b"cjson.encode", b"cmsgpack.pack") or role not in (ROLE_CALLEE, ROLE_ALIASED):
                self.mark_unordered(path, f"it uses {text}, whose result may differ from node to node")
        elif path in NAMESPACES:
            if role not in (ROLE_BASE, ROLE_ALIASED, ROLE_INSPECTED) and not may_be_input([path]):
                self.analysis.mark_nondeterministic(f"it hands {text} around")
        elif path in (b"redis.setresp", b"server.setresp"):
            self.analysis.mark_chance(f"it uses {text}, which changes the form of replies")
        elif path not in DETERMINISTIC and path not in self.tree.global_values:
            self.analysis.mark_nondeterministic(f"it uses {text}, of which nothing is known")

    def mark_unordered(self, path: bytes, reason: str) -> None:
        """This global name may give something else on another node; a prologue may help."""
        piece = PIECES_OF_NAMES.get(path, "")
        self.analysis.mark_nondeterministic(reason, bool(piece))
        self.analysis.add_piece(piece)

    def visit_assignment(self, node: SyntaxNode) -> None:
        """An assignment to a global name, or to a field."""
        if node.kind == NAME:
            self.analysis.mark_nondeterministic(f"it assigns to the global name {node.text.decode('ascii', 'replace')}")
            return
        for path in self.values.global_paths(node.children[0]):
            if not may_be_input([path]):
                self.analysis.mark_nondeterministic(f"it changes {path.decode('ascii', 'replace')}")

    # -- calls -----------------------------------------------------------------------------------------------

    def visit_call(self, call_node: SyntaxNode) -> None:
        callee = call_node.children[0]
        arguments = call_node.children[1:]
        paths = self.values.global_paths(callee)
        if b"pcall" in paths and arguments and arguments[0].role == ROLE_CALLEE:
            paths = self.values.global_paths(arguments[0])
            arguments = arguments[1:]
        for path in paths:
            if path in COMMAND_CALLERS:
                self.visit_command_call(arguments)
                return
            if path == b"tostring" and arguments and not self.scalars.is_scalar(arguments[0], 0):
                self.analysis.mark_nondeterministic("it uses tostring, which may print the address of a table")
            if path in (b"cjson.encode", b"cmsgpack.pack") and not all(
                self.scalars.has_stable_order(each, 0) for each in arguments
            ):
                self.mark_unordered(path, f"it uses {path.decode()} with fields, whose order may differ by node")

    def visit_command_call(self, arguments: list[SyntaxNode]) -> None:
        """``redis.call(…)``: its command, or that it has none in the text."""
        if self.is_never_text(arguments):
            # The node refuses it; or it stands in a function that nobody calls.
            return
        arguments, open_ended = self.expand_unpack(arguments)
        forms = [self.argument_forms(node) for node in arguments]
        names = forms[0] if forms else [UNKNOWN_FORM]
        for form in names or [UNKNOWN_FORM]:
            name = literal_text(form)
            if name is not None:
                self.record_command(name.lower(), forms[1:], open_ended)
            else:
                self.analysis.unnamed_reason = "it calls a command whose name is not a literal"
                self.analysis.nameless_calls += 1
                self.analysis.part_count += len(form) + sum([len(forms) for forms in forms[1:]])
                if all(part[0] not in (ANY_TEXT, KEYS_ANY, ARGV_RANGE) for part in form):
                    self.analysis.dynamic_calls.append(ScriptCall(b"", None, [[form], *forms[1:]], open_ended))

    def is_never_text(self, arguments: list[SyntaxNode]) -> bool:
        """Whether the first argument, a command's name, can be nothing but nil, a boolean, a table or a function."""
        return bool(arguments) and not gives_many_values(arguments[0]) and not self.values.string_forms(arguments[0], 0)

    def argument_forms(self, node: SyntaxNode) -> list[StringForm]:
        """The forms of one argument; for nil and tables, which the node refuses, the unknown one."""
        return self.values.string_forms(node, 0) or [UNKNOWN_FORM]

    def expand_unpack(self, arguments: list[SyntaxNode]) -> tuple[list[SyntaxNode], bool]:
        """The arguments with ``unpack(…)`` expanded; True when more may follow that are not known."""
        if not arguments or not gives_many_values(arguments[-1]):
            return arguments, False
        last = arguments[-1]
        paths = self.values.global_paths(last.children[0]) if last.children else []
        if not any(path in (b"unpack", b"table.unpack") for path in paths):
            gives_one_value = bool(paths) and all(self.scalars.gives_one_value(path) for path in paths)
            return arguments, not gives_one_value
        table = last.children[1] if len(last.children) > 1 else last
        if may_be_input(self.values.global_paths(table)):
            each = SyntaxNode(EACH_INDEX if len(last.children) == 2 else OTHER, table.offset, b"", [])
            return [*arguments[:-1], SyntaxNode(INDEX, table.offset, b"", [table, each])], True
        if len(last.children) != 2:
            # It unpacks a part of the table, which may begin at any index.
            return arguments[:-1], True
        known_elements = self.scalars.known_elements(table)
        self.unpacked_count += len(known_elements)
        if self.unpacked_count > MAX_UNPACKED:
            self.analysis.mark_hidden("it unpacks more than is followed")
            return arguments[:-1], True
        return [*arguments[:-1], *known_elements], True

    def record_command(self, name: bytes, arguments: list[list[StringForm]], open_ended: bool) -> None:
        """A call of a command whose name is in the text."""
        found = self.analysis
        script_call = ScriptCall(name, COMMANDS.get(name), arguments, open_ended)
        argv = script_call.argv()
        if script_call.spec is not None:
            script_call.spec = resolve_subcommand(script_call.spec, argv)
        spec = script_call.spec
        found.commands[spec.name if spec is not None else name] = spec
        if spec is None or not is_deterministic(spec, argv, open_ended):
            found.mark_nondeterministic(
                f"it calls {name[:40].decode('ascii', 'replace')}, which depends on chance, time or order",
                spec is not None and bool(spec.prologue_piece),
            )
        found.add_piece(spec.prologue_piece if spec is not None else "")
        if spec is None or (spec.may_write and trait_in_script(spec, argv, open_ended) == EXPIRY_SET):
            self.record_expiry(spec, argv, arguments)
        self.record_written_keys(name, script_call, argv)
        if spec is None:
            return
        if spec.covers_keyspace:
            self.record_keyspace_command(spec, script_call, argv)
        if any(key.is_key for key in spec.key_specs):
            found.key_command = found.key_command or spec.name
            for at in key_positions(spec, argv):
                self.record_key(name, arguments[at - 1], b"", False)
        if spec.key_finder == SORT_KEYS:
            for at in sort_pattern_positions(argv):
                forms = [form for form in arguments[at - 1] if not reads_no_key(form)]
                self.record_key(name, forms, b"*", True)

    def record_written_keys(self, name: bytes, script_call: ScriptCall, argv: list[bytes]) -> None:
        """Note the undeclared keys that a call may write to, and all that it uses, or that they are not known."""
        found, spec = self.analysis, script_call.spec
        forms: list[StringForm] | None = None
        used: list[StringForm] | None = None
        if spec is not None:
            found.may_publish = found.may_publish or spec.reach == CHANNEL_NODE
            forms = written_forms(spec, argv, script_call.arguments, script_call.open_ended, UNKNOWN_ARGUMENT)
            used = used_forms(spec, argv, script_call.arguments, script_call.open_ended, UNKNOWN_ARGUMENT)
        found.unknown_use = found.unknown_use or used is None
        found.used_forms.update(dict.fromkeys(used or [], True))
        if forms is None:
            found.unknown_write = found.unknown_write or name
        else:
            found.written_forms.update(dict.fromkeys(forms, True))

    def record_expiry(self, spec: CommandSpec | None, argv: list[bytes], arguments: list[list[StringForm]]) -> None:
        """A call that may set the expiry of its keys, or of which nothing is known."""
        forms = [form for at in key_positions(spec, argv) for form in arguments[at - 1]] if spec is not None else []
        declared = bool(forms) and all(is_declared(form) for form in forms)
        self.analysis.sets_expiry = max(self.analysis.sets_expiry, NAMED_KEYS if declared else ANY_KEYS)

    def record_keyspace_command(self, spec: CommandSpec, script_call: ScriptCall, argv: list[bytes]) -> None:
        """KEYS and SCAN are looked at by their pattern, which may match keys of one node only; others are noted."""
        at = keyspace_pattern(spec, argv)
        if 0 < at < len(argv):
            self.record_key(script_call.name, script_call.arguments[at - 1], b"*?[\\", True)
        else:
            self.analysis.keyspace_command = self.analysis.keyspace_command or script_call.name

    def record_key(self, command: bytes, forms: list[StringForm], pattern_chars: bytes, must_locate: bool) -> None:
        """Note a key to look at with each request, unless it is declared, or cannot be known."""
        if not must_locate and any(form[:1] == UNKNOWN_FORM for form in forms):
            return
        for form in forms:
            declared = not pattern_chars and is_declared(form)
            if declared or (command, form) in self.seen_keys:
                continue
            self.seen_keys.add((command, form))
            self.analysis.part_count += len(form)
            if self.analysis.part_count > MAX_KEY_PARTS:
                self.analysis.mark_hidden("it uses more names of keys than are followed")
                return
            self.analysis.undeclared_keys.append(UndeclaredKey(command, form, pattern_chars, must_locate))


def may_be_input(paths: list[bytes]) -> bool:
    """Whether it may be KEYS or ARGV."""
    return b"KEYS" in paths or b"ARGV" in paths
