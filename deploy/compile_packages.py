"""Compiles the pure packages with mypyc, as one group, into a folder: ``python deploy/compile_packages.py OUT``.

With them go the few files that stand between them and the loop on the path of every command.

One group means that calls between them stay native. The script runs as its own process because the
compilers end the process when they fail, and because they litter the folder they run in: everything
they write goes to a scratch folder, and OUT gets the extension modules alone, laid out as in the wheel.

``KIDOPROXY_OPT`` is the C compiler's optimisation level, 3 if it is not set. 0 takes half of the time, and is what
the tests are run with.

What is checked here is only what mypyc needs. The strict type check of the whole tree is a test of its
own, and the libraries that they import are not there while a wheel is built.
"""

import os
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "kidoproxy"

#: What talks to the world, and tools: everything else is pure.
IMPURE: Final = (
    "kidoproxy/__main__.py",
    "kidoproxy/admin/*",
    "kidoproxy/config/*",
    "kidoproxy/django/*",
    "kidoproxy/net/*",
    "kidoproxy/commands/generate.py",
)

#: Pure, but read once and data alone: compiled it would be one function of 60 000 lines of C.
DATA: Final = ("kidoproxy/commands/table.py",)
#: What stands between the loop and the pure packages on the path of every command is compiled with them.
HOT: Final = ("kidoproxy/net/client_io.py", "kidoproxy/net/flush.py", "kidoproxy/net/node_io.py")


def is_pure(source: str) -> bool:
    """Whether `source`, a path such as ``kidoproxy/resp/scan.py``, belongs to the pure packages."""
    return not any(fnmatch(source, pattern) for pattern in IMPURE)


def is_compiled(source: str) -> bool:
    """Whether `source` is compiled: code of a pure package or of the hot path. An ``__init__.py`` has no code."""
    return source in HOT or (is_pure(source) and source not in DATA and not source.endswith("__init__.py"))


def compiled_files(root: Path = ROOT) -> list[Path]:
    """The source files to compile, in one stable order."""
    return sorted(path for path in (root / PACKAGE).rglob("*.py") if is_compiled(path.relative_to(root).as_posix()))


def module_name(path: Path, root: Path = ROOT) -> str:
    """``kidoproxy/resp/scan.py`` is ``kidoproxy.resp.scan``."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def compile_packages(out: Path, scratch: Path) -> None:
    """Compile them into `out`; ends the process with a non-zero status when that fails."""
    # Not at the top: the tests read this file's lists where neither of the two is installed.
    from mypyc.build import mypycify
    from setuptools import Distribution

    sources = [str(path.relative_to(ROOT)) for path in compiled_files()]
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    options.append(f"--cache-dir={scratch / 'mypy'}")
    extensions = mypycify(
        [*options, *sources],
        opt_level=os.environ.get("KIDOPROXY_OPT") or "3",
        debug_level="0",
        group_name=PACKAGE,
        target_dir=str(scratch / "c"),
    )
    for extension in extensions:
        # A warning of a compiler that mypyc's authors did not know must not cost the user the speed. And no warnings at
        # all: gcc would spend more than a minute on the indentation of what mypyc wrote.
        extension.extra_compile_args = [arg for arg in extension.extra_compile_args if arg != "-Werror"] + ["-Wno-all"]
    distribution = Distribution({"name": PACKAGE, "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = str(out)
    command.build_temp = str(scratch / "o")
    command.ensure_finalized()
    command.run()


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="kidoproxy-compile-") as scratch:
        compile_packages(out, Path(scratch))


if __name__ == "__main__":
    main()
