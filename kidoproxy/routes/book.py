"""The book of a pool: scripts by digest, and what was loaded, so that a node that lost it can be taught again.

Every listening pool has a book of its own, for it is one Redis to its clients: what was loaded through one
pool is neither known nor taught through another. The book lives as long as the process.
"""

import hashlib
from typing import Final, final

from kidoproxy.errors import ProtocolError
from kidoproxy.resp.build import command
from kidoproxy.resp.inline import split
from kidoproxy.scripts.analysis import Analysis, analyse
from kidoproxy.scripts.library import functions, joined

#: How many script texts are remembered, and how many bytes of them; beyond, the oldest are forgotten.
SCRIPTS: Final = 10_000
SCRIPT_BYTES: Final = 64 * 1024 * 1024
#: A text that is larger than this is not remembered.
LARGE_SCRIPT: Final = 1024 * 1024
#: How many bytes of what they say; beyond, it is forgotten and read again.
ANALYSED_BYTES: Final = 32 * 1024 * 1024
#: The same for the steps that lead to the libraries of functions.
STEPS: Final = 1_000
STEP_BYTES: Final = 64 * 1024 * 1024


@final
class Script:
    """A text, and what is known of it; None while nobody has asked."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.analysis: Analysis | None = None


@final
class Step:
    """A request that changes the libraries. ``name`` is the library that a LOAD brings, empty for the others."""

    def __init__(self, name: bytes, frame: bytes) -> None:
        self.name = name
        self.frame = frame


@final
class Book:
    """See the module. ``version`` grows with every change of what a node must be taught."""

    def __init__(self) -> None:
        self.digests: dict[bytes, bytes] = {}
        #: By digest: those that SCRIPT LOAD has brought to the nodes, and those that only passed by.
        self.loaded: dict[bytes, Script] = {}
        self.seen: dict[bytes, Script] = {}
        self.script_bytes = 0
        self.analysed_bytes = 0
        self.function_bytes = 0
        self.steps: list[Step] = []
        self.version = 0
        #: What is known of functions, by name in lower case as nodes look for them, and which each library has brought.
        self.functions: dict[bytes, Analysis] = {}
        self.brought: dict[bytes, list[bytes]] = {}
        #: By library, what any of its functions may do whose names are not plain to see; and all of these as one.
        self.unclear: dict[bytes, Analysis] = {}
        self.nameless: Analysis | None = None

    # -- scripts --------------------------------------------------------------------------------------

    def learn(self, text: bytes) -> bytes:
        """A text passes by; its digest."""
        known = self.digests.get(text)
        if known is not None:
            return known
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        if len(text) <= LARGE_SCRIPT:
            self.digests[text] = digest
            self.seen[digest] = Script(text)
            self.script_bytes += len(text)
            while len(self.digests) > SCRIPTS or self.script_bytes > SCRIPT_BYTES:
                self.forget(self.seen if len(self.seen) > 1 else self.loaded)
        return digest

    def forget(self, scripts: dict[bytes, Script]) -> None:
        """The oldest of these."""
        script = scripts.pop(next(iter(scripts)))
        del self.digests[script.text]
        self.script_bytes -= len(script.text)

    def script(self, digest: bytes) -> Script | None:
        """The script with this digest, in lower case; None when it is not known."""
        return self.loaded.get(digest) or self.seen.get(digest)

    def analysis(self, script: Script) -> Analysis:
        """What the text says; read once, and once more after all of it was forgotten because it was too much."""
        found = script.analysis
        if found is None:
            found = analyse(script.text)
            self.analysed_bytes += found.weight()
            if self.analysed_bytes > ANALYSED_BYTES:
                self.analysed_bytes = found.weight()
                for scripts in (self.loaded, self.seen):
                    for other in scripts.values():
                        other.analysis = None
            script.analysis = found
        return found

    def function(self, name: bytes) -> Analysis | None:
        """What is known of a function; of one that nobody has seen loaded it may be that a library hides its name."""
        return self.functions.get(name.lower()) or self.nameless

    def load(self, text: bytes) -> None:
        """SCRIPT LOAD has succeeded; if SCRIPT FLUSH was asked meanwhile, there is nothing to keep."""
        digest = self.digests.get(text, b"")
        script = self.seen.pop(digest, None)
        if script is not None:
            self.loaded[digest] = script
            self.version += 1

    def flush(self) -> None:
        """SCRIPT FLUSH."""
        self.digests.clear()
        self.loaded.clear()
        self.seen.clear()
        self.script_bytes = 0
        self.version += 1

    # -- libraries ------------------------------------------------------------------------------------

    def load_library(self, code: bytes) -> None:
        """FUNCTION LOAD has succeeded: whatever its name meant before is replaced."""
        name = library_name(code)
        self.forget_functions(name)
        found = functions(code)
        weight = sum([analysis.weight() for analysis in found.values()])
        if self.function_bytes + weight > ANALYSED_BYTES:
            self.forget_all_functions()
        self.function_bytes += weight
        unclear = found.pop(b"", None)
        if unclear is not None:
            self.unclear[name] = unclear
            self.nameless = joined(list(self.unclear.values()))
        for function, analysis in found.items():
            self.functions[function.lower()] = analysis
        self.brought[name] = [function.lower() for function in found]
        self.add([step for step in self.steps if step.name != name], name, [b"LOAD", b"REPLACE", code])

    def forget_all_functions(self) -> None:
        """Nothing is known of any function."""
        self.function_bytes = 0
        self.functions.clear()
        self.brought.clear()
        self.unclear.clear()
        self.nameless = None

    def forget_functions(self, name: bytes) -> None:
        """What this library has brought is gone."""
        for function in self.brought.pop(name, []):
            self.functions.pop(function, None)
        if self.unclear.pop(name, None) is not None:
            self.nameless = joined(list(self.unclear.values()))

    def delete_library(self, name: bytes) -> None:
        """FUNCTION DELETE has succeeded. It may have been a part of what was restored, which cannot be read here."""
        self.forget_functions(name)
        kept = [step for step in self.steps if step.name != name]
        if any(not step.name for step in kept):
            self.add(kept, b"", [b"DELETE", name])
        else:
            self.keep(kept)

    def restore_libraries(self, dump: bytes, policy: bytes) -> None:
        """FUNCTION RESTORE has succeeded; ``policy`` is APPEND, REPLACE or FLUSH."""
        # What a dump brings cannot be read here, and it may replace what could.
        self.forget_all_functions()
        self.add([] if policy.lower() == b"flush" else self.steps, b"", [b"RESTORE", dump, b"REPLACE"])

    def flush_libraries(self) -> None:
        """FUNCTION FLUSH has succeeded."""
        self.forget_all_functions()
        self.keep([])

    def add(self, before: list[Step], name: bytes, words: list[bytes]) -> None:
        """One more step; what an equal one did before, it does again."""
        frame = command([b"FUNCTION", *words])
        self.keep([step for step in before if step.frame != frame] + [Step(name, frame)])

    def keep(self, steps: list[Step]) -> None:
        """These are the steps now; the oldest are forgotten when there are too many."""
        size = sum([len(step.frame) for step in steps])
        while len(steps) > STEPS or size > STEP_BYTES:
            oldest = steps.pop(0)
            size -= len(oldest.frame)
            self.forget_functions(oldest.name)
        self.steps = steps
        self.version += 1

    # -- lessons --------------------------------------------------------------------------------------

    def libraries(self) -> list[bytes]:
        """The requests that bring a node to the libraries that were loaded through this pool."""
        return [step.frame for step in self.steps]

    def texts(self) -> list[bytes]:
        """The requests that bring it to the scripts."""
        return [lesson(script.text) for script in self.loaded.values()]


def lesson(text: bytes) -> bytes:
    """The request that teaches a node this script."""
    return command([b"SCRIPT", b"LOAD", text])


def library_name(code: bytes) -> bytes:
    """The name in the first line, ``#!lua name=mylib``, as Redis reads it; empty when there is none."""
    try:
        words = split(code.partition(b"\n")[0])
    except ProtocolError:
        return b""
    for word in words[1:]:
        if word[:5].lower() == b"name=":
            return word[5:]
    return b""
