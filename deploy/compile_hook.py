"""The build hook that puts the compiled pure packages into the wheel.

One source, two builds: the pure packages are strictly typed Python. mypyc compiles them when the wheel is
built; where there is no C compiler the wheel is pure Python and does the same, more slowly. The sources
are in the wheel either way, and ``kidoproxy version`` says which build is running.

``KIDOPROXY_COMPILE`` decides: ``auto`` (the default) falls back to the pure wheel with a warning,
``require`` makes a failed compilation an error, ``no`` does not try. An editable install is never compiled.
Where the compiler or Python's headers are missing nothing is tried, so that the fallback takes no minute.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH: Final = "KIDOPROXY_COMPILE"
CHOICES: Final = ("auto", "require", "no")


def missing_tool(environ: Mapping[str, str] = os.environ) -> str:
    """What a compilation would fail for, as words for a person; empty if all is there."""
    if os.name == "nt":
        return ""  # setuptools finds the compiler, which is not in PATH
    compiler = shlex.split(environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler, path=environ.get("PATH", os.defpath)) is None:
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return "" if header.exists() else f"Python's headers are missing ({header})"


class CompileHook(BuildHookInterface[BuilderConfig]):
    """Runs ``compile_packages.py`` next to this file and adds what it made to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before the wheel is written; `version` is ``standard`` or ``editable``."""
        choice = os.environ.get(SWITCH) or "auto"
        if choice not in CHOICES:
            raise ValueError(f"{SWITCH} must be one of {', '.join(CHOICES)}, not {choice!r}")
        if version == "editable" or choice == "no":
            return
        # pip shows what is said here with -v alone; `python -m build`, uv and hatch show it always.
        why_not = missing_tool()
        if not why_not:
            self.app.display_info("kidoproxy: compiling the core; this takes two to five minutes of one processor …")
            self._scratch = tempfile.TemporaryDirectory(prefix="kidoproxy-wheel-")
            out = Path(self._scratch.name)
            why_not = "" if self._compile(out) else "the compilation failed, as said above"
        if why_not:
            if choice == "require":
                raise RuntimeError(f"the pure packages could not be compiled ({why_not}), and {SWITCH}=require")
            self._warn(why_not)
            return
        built = [path for path in out.rglob("*") if path.is_file()]
        build_data["force_include"].update({str(path): str(path.relative_to(out)) for path in built})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when the wheel is written: the extension modules are in it now."""
        scratch: tempfile.TemporaryDirectory[str] | None = getattr(self, "_scratch", None)
        if scratch is not None:
            scratch.cleanup()

    def _compile(self, out: Path) -> bool:
        script = Path(self.root, "deploy", "compile_packages.py")
        # Its output goes to stderr: a build front end may read our stdout.
        done = subprocess.run([sys.executable, str(script), str(out)], cwd=self.root, stdout=sys.stderr, check=False)
        return done.returncode == 0 and any(out.rglob("*.so"))

    def _warn(self, why_not: str) -> None:
        for text in (
            "=" * 78,
            f"kidoproxy: the pure packages could NOT be compiled: {why_not}.",
            "This wheel is pure Python: it does the same, but the proxy costs several times",
            "the CPU. The backends for Django are pure Python in any wheel.",
            "Install a C compiler and the Python headers (Debian: gcc python3-dev) and build",
            f"again; {SWITCH}=require makes this an error, {SWITCH}=no silences it.",
            "=" * 78,
        ):
            self.app.display_warning(text)
