"""The script registry of a pool: scripts by digest, and what was loaded, so that a node that lost it gets it again.

Every listening pool has a registry of its own, for it is one Redis to its clients: what was loaded through one
pool is neither known through another nor sent to its nodes. It lives as long as the process, within bounds in bytes.

Scripts are kept as texts. Libraries of functions are kept as the requests that changed them, in order: FUNCTION RESTORE
brings what cannot be read here, so only the same requests lead to the same libraries.
"""

from typing import Final, final

from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.inline import split_args
from kidoproxy.scripts.analysis import Analysis, analyze
from kidoproxy.scripts.interposed import InterposedScript, hex_digest, interposed_function, interposed_script
from kidoproxy.scripts.library import analyze_library, merge_analyses

#: How many script texts are remembered, and how many bytes of them; beyond, the oldest are forgotten.
MAX_SCRIPTS: Final = 10_000
MAX_TOTAL_SCRIPT_BYTES: Final = 64 * 1024 * 1024
#: A text that is larger than this is not remembered.
MAX_REMEMBERED_BYTES: Final = 1024 * 1024
#: How many bytes of analyses are remembered; beyond, all are forgotten, and made again when they are needed.
MAX_ANALYSIS_BYTES: Final = 32 * 1024 * 1024
#: How many libraries are looked at that a node has, and nobody has loaded through the pool.
MAX_LISTED_LIBRARIES: Final = 100
#: How many changes of libraries are kept, and how many bytes of them; beyond, the oldest are forgotten.
MAX_LIBRARY_CHANGES: Final = 1_000
MAX_LIBRARY_CHANGE_BYTES: Final = 64 * 1024 * 1024


@final
class Script:
    """A text, its analysis, what copies run in its place, and it itself as they run it; None until it is asked for."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.analysis: Analysis | None = None
        self.interposed: InterposedScript | None = None
        self.repeated: InterposedScript | None = None


@final
class Function:
    """A function of a library with this code, its name as it is registered, its analysis and what copies run for it."""

    def __init__(self, code: bytes, name: bytes, analysis: Analysis) -> None:
        self.code = code
        self.name = name
        self.analysis = analysis
        self.interposed: InterposedScript | None = None


@final
class ExpectedLibrary:
    """A library that the nodes are being sent, and the code of the one that it replaces, if that is known."""

    def __init__(self, name: bytes, code: bytes, replaced: bytes | None) -> None:
        self.name: Final = name
        self.code: Final = code
        self.replaced: Final = replaced


@final
class LibraryChange:
    """A request that changes the libraries. ``name`` is the library that a LOAD brings, empty for the others."""

    def __init__(self, name: bytes, frame: bytes) -> None:
        self.name = name
        self.frame = frame


@final
class ScriptRegistry:
    """What one pool knows of scripts. ``version`` grows with every change of what its nodes must be sent."""

    def __init__(self) -> None:
        self.digests: dict[bytes, bytes] = {}
        #: By digest: those that SCRIPT LOAD has brought to the nodes, and those that were only seen in a request.
        self.loaded: dict[bytes, Script] = {}
        self.seen: dict[bytes, Script] = {}
        self.script_bytes = 0
        self.analysis_bytes = 0
        self.function_analysis_bytes = 0
        self.library_changes: list[LibraryChange] = []
        self.version = 0
        #: Functions by name, in lower case as nodes look them up; the names, the code and the bytes of each library.
        self.functions: dict[bytes, Function] = {}
        self.functions_by_library: dict[bytes, list[bytes]] = {}
        self.codes: dict[bytes, bytes] = {}
        self.library_bytes: dict[bytes, int] = {}
        #: By library, the analysis of its functions whose names are not known; and all of these merged.
        self.unnamed_by_library: dict[bytes, Analysis] = {}
        self.unnamed_functions: Analysis | None = None
        #: Whether all libraries are known that the nodes have, as far as nobody changes them past the proxy.
        self.knows_all_functions = False
        #: When nodes may be asked about a function that is not known, and when to see whether the others are the same.
        self.lookup_due_ms = 0
        self.refresh_due_ms = 0
        #: Whether copies can be asked about functions.
        self.asks_copies = False
        #: How often libraries were changed through the pool.
        self.library_serial = 0

    # -- scripts --------------------------------------------------------------------------------------

    def remember(self, text: bytes) -> bytes:
        """Keep a text that a request has shown. Its digest, as 40 hexadecimal digits."""
        known = self.digests.get(text)
        if known is not None:
            return known
        digest = hex_digest(text)
        if len(text) <= MAX_REMEMBERED_BYTES:
            self.digests[text] = digest
            self.seen[digest] = Script(text)
            self.script_bytes += len(text)
            while len(self.digests) > MAX_SCRIPTS or self.script_bytes > MAX_TOTAL_SCRIPT_BYTES:
                self.evict_oldest(self.seen if len(self.seen) > 1 else self.loaded)
        return digest

    def evict_oldest(self, scripts: dict[bytes, Script]) -> None:
        """Forget the oldest of these."""
        script = scripts.pop(next(iter(scripts)))
        del self.digests[script.text]
        self.script_bytes -= len(script.text)

    def find_script(self, digest: bytes) -> Script | None:
        """The script with this digest, in lower case; None when it is not known."""
        return self.loaded.get(digest) or self.seen.get(digest)

    def analyse_script(self, script: Script) -> Analysis:
        """The script's analysis; made once, and again after all were forgotten because they took too many bytes."""
        found = script.analysis
        if found is None:
            found = analyze(script.text)
            self.count_analysis(found.memory_bytes())
            script.analysis = found
        return found

    def interpose_script(self, script: Script) -> InterposedScript:
        """What copies run in its place; kept as long as its analysis."""
        found = script.interposed
        if found is None:
            found = interposed_script(script.text, self.analyse_script(script).pieces)
            self.count_analysis(len(found.text))
            script.interposed = found
        return found

    def repeat_script(self, script: Script) -> InterposedScript:
        """The script itself, as copies run it; kept as long as the script."""
        if script.repeated is None:
            script.repeated = InterposedScript(script.text, script.text, hex_digest(script.text), False, [])
        return script.repeated

    def count_analysis(self, size: int) -> None:
        """Something is made that takes as many bytes; when all take too many, those before are forgotten."""
        self.analysis_bytes += size
        if self.analysis_bytes > MAX_ANALYSIS_BYTES:
            self.analysis_bytes = size
            for scripts in (self.loaded, self.seen):
                for other in scripts.values():
                    other.analysis = None
                    other.interposed = None
            for function in self.functions.values():
                function.interposed = None

    def find_function(self, name: bytes) -> Analysis | None:
        """The analysis of a function; if it is unknown, that of all functions whose names are not known."""
        function = self.functions.get(name.lower())
        return function.analysis if function is not None else self.unnamed_functions

    def interpose_function(self, name: bytes) -> InterposedScript | None:
        """What copies run in its place; None if it is not known, or its flags are not."""
        function = self.functions.get(name.lower())
        if function is None or function.analysis.flags is None:
            return None
        found = function.interposed
        if found is None:
            analysis = function.analysis
            found = interposed_function(function.code, function.name, analysis.flags or [], analysis.pieces)
            self.count_analysis(len(found.text))
            function.interposed = found
        return found

    def mark_loaded(self, text: bytes) -> None:
        """SCRIPT LOAD has succeeded; if SCRIPT FLUSH came meanwhile, there is nothing to keep."""
        digest = self.digests.get(text, b"")
        script = self.seen.pop(digest, None)
        if script is not None:
            self.loaded[digest] = script
            self.version += 1

    def flush_scripts(self) -> None:
        """SCRIPT FLUSH was asked for."""
        self.digests.clear()
        self.loaded.clear()
        self.seen.clear()
        self.script_bytes = 0
        self.version += 1

    # -- libraries ------------------------------------------------------------------------------------

    def expect_library(self, code: bytes, replaces: bool) -> ExpectedLibrary | None:
        """FUNCTION LOAD is being sent: what nodes are sent next they run with it.

        None if nothing is new, or nodes will not take it.
        """
        name = library_name(code)
        known = self.codes.get(name)
        if known == code or (known is not None and not replaces):
            return None
        found = analyze_library(code)
        if any(analysis.parse_error for analysis in found.values()):
            return None
        self.library_serial += 1
        self.learn_functions(name, code, found)
        return ExpectedLibrary(name, code, known)

    def expect_removal(self, name: bytes | None) -> None:
        """A library, or any of them, is being deleted or replaced: copies are asked what is left."""
        if self.asks_copies:
            self.library_serial += 1
            self.knows_all_functions = False
            self.lookup_due_ms = 0
            if name is None:
                self.forget_all_functions()
            else:
                self.forget_functions(name)

    def give_up_library(self, expected: ExpectedLibrary) -> None:
        """It has failed: there is what was there before, unless something came since."""
        if self.codes.get(expected.name) == expected.code:
            self.library_serial += 1
            if expected.replaced is None:
                self.forget_functions(expected.name)
            else:
                self.learn_functions(expected.name, expected.replaced, analyze_library(expected.replaced))

    def load_library(self, code: bytes, expected: bool = False) -> None:
        """FUNCTION LOAD has succeeded, as was ``expected``: a library of the same name is replaced."""
        name = library_name(code)
        if not expected and self.codes.get(name) != code:
            self.learn_functions(name, code, analyze_library(code))
        self.append_change(
            [change for change in self.library_changes if change.name != name], name, [b"LOAD", b"REPLACE", code]
        )

    def learn_functions(self, name: bytes, code: bytes, found: dict[bytes, Analysis]) -> None:
        """The functions of this library are those of this code."""
        self.forget_functions(name)
        weight = len(code) + sum([analysis.memory_bytes() for analysis in found.values()])
        if self.function_analysis_bytes + weight > MAX_ANALYSIS_BYTES:
            self.forget_all_functions()
            self.knows_all_functions = False
        self.function_analysis_bytes += weight
        self.library_bytes[name] = weight
        unclear = found.pop(b"", None)
        if unclear is not None:
            self.unnamed_by_library[name] = unclear
            self.unnamed_functions = merge_analyses(list(self.unnamed_by_library.values()))
        for function, analysis in found.items():
            self.functions[function.lower()] = Function(code, function, analysis)
        self.functions_by_library[name] = [function.lower() for function in found]
        self.codes[name] = code

    def learn_listed(self, codes: list[bytes], serial: int) -> None:
        """A node has these libraries, which was asked at this ``library_serial``.

        What was sent since is known better; else the node is right, whoever has changed its libraries.
        """
        is_newest = serial == self.library_serial
        self.knows_all_functions = len(codes) <= MAX_LISTED_LIBRARIES
        listed = {library_name(code): code for code in codes[:MAX_LISTED_LIBRARIES]}
        if is_newest and self.knows_all_functions:
            for name in [name for name in self.codes if name not in listed]:
                self.forget_functions(name)
        for name, code in listed.items():
            known = self.codes.get(name)
            if known is None or (is_newest and known != code):
                self.learn_functions(name, code, analyze_library(code))

    def forget_all_functions(self) -> None:
        self.function_analysis_bytes = 0
        self.functions.clear()
        self.functions_by_library.clear()
        self.codes.clear()
        self.library_bytes.clear()
        self.unnamed_by_library.clear()
        self.unnamed_functions = None

    def forget_functions(self, name: bytes) -> None:
        """The functions of this library are not known any more."""
        self.codes.pop(name, None)
        self.function_analysis_bytes -= self.library_bytes.pop(name, 0)
        for function in self.functions_by_library.pop(name, []):
            self.functions.pop(function, None)
        if self.unnamed_by_library.pop(name, None) is not None:
            self.unnamed_functions = merge_analyses(list(self.unnamed_by_library.values()))

    def delete_library(self, name: bytes) -> None:
        """FUNCTION DELETE has succeeded. The library may have come by a RESTORE, which cannot be read here."""
        self.forget_functions(name)
        remaining = [change for change in self.library_changes if change.name != name]
        if any(not change.name for change in remaining):
            self.append_change(remaining, b"", [b"DELETE", name])
        else:
            self.replace_changes(remaining)

    def restore_libraries(self, dump: bytes, policy: bytes) -> None:
        """FUNCTION RESTORE has succeeded; ``policy`` is APPEND, REPLACE or FLUSH."""
        # What a dump brings cannot be read here, and it may replace what could.
        self.forget_all_functions()
        self.knows_all_functions = False
        self.lookup_due_ms = 0
        self.append_change(
            [] if policy.lower() == b"flush" else self.library_changes, b"", [b"RESTORE", dump, b"REPLACE"]
        )

    def flush_libraries(self) -> None:
        """FUNCTION FLUSH has succeeded."""
        self.forget_all_functions()
        self.replace_changes([])

    def append_change(self, previous: list[LibraryChange], name: bytes, words: list[bytes]) -> None:
        """Add a change; it replaces an equal one, whose effect it has again."""
        frame = encode_request([b"FUNCTION", *words])
        self.replace_changes([change for change in previous if change.frame != frame] + [LibraryChange(name, frame)])

    def replace_changes(self, changes: list[LibraryChange]) -> None:
        """Keep these changes; the oldest are forgotten when they are too many."""
        size = sum([len(change.frame) for change in changes])
        while len(changes) > MAX_LIBRARY_CHANGES or size > MAX_LIBRARY_CHANGE_BYTES:
            oldest = changes.pop(0)
            size -= len(oldest.frame)
            self.forget_functions(oldest.name)
            self.knows_all_functions = False
        self.library_changes = changes
        self.version += 1
        self.library_serial += 1

    # -- what a node must be sent ---------------------------------------------------------------------

    def library_requests(self) -> list[bytes]:
        """The requests that bring a node the libraries that were loaded through this pool, in order."""
        return [change.frame for change in self.library_changes]

    def script_load_requests(self) -> list[bytes]:
        """The requests that bring a node the scripts that were loaded through this pool."""
        return [script_load_request(script.text) for script in self.loaded.values()]


def script_load_request(text: bytes) -> bytes:
    """The request that loads this script on a node."""
    return encode_request([b"SCRIPT", b"LOAD", text])


def library_name(code: bytes) -> bytes:
    """The name in the first line, ``#!lua name=mylib``, as Redis reads it; empty when there is none."""
    try:
        words = split_args(code.partition(b"\n")[0])
    except ProtocolError:
        return b""
    for word in words[1:]:
        if word[:5].lower() == b"name=":
            return word[5:]
    return b""
