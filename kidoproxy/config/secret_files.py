"""Secrets of the file: as they stand there, or in a file of their own."""

import stat
from collections.abc import Callable
from pathlib import Path

from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.secret import NO_SECRET, Secret


class SecretFiles:
    """Reads the files that a configuration names; relative names start at ``folder``."""

    def __init__(self, folder: Path, problems: Problems, warn: Callable[[Location, str], None]) -> None:
        self.folder = folder
        self.problems = problems
        self.warn = warn

    def secret(self, inline: str | None, file: str | None, location: Location) -> Secret:
        if inline is not None and file is not None:
            self.problems.add(location, "has both 'password' and 'password_file'")
        if file is None:
            return Secret(inline or "")
        return self.token(file, (*location, "password_file"))

    def token(self, file: str | None, location: Location) -> Secret:
        """What stands in a file that the setting at ``location`` names."""
        text = self.read(file, location) if file is not None else None
        if file is None or text is None:
            return NO_SECRET
        if is_world_readable(self.folder / file):
            self.warn(location, f"every user of this machine may read {file}; chmod o-r it")
        secret = text.rstrip("\r\n")
        if not secret:
            self.problems.add(location, f"{file} is empty")
        return Secret(secret)

    def read(self, file: str, location: Location) -> str | None:
        try:
            return (self.folder / file).read_text("utf-8")
        except OSError as error:
            self.problems.add(location, f"cannot read {file}: {error.strerror}")
        except UnicodeDecodeError:
            self.problems.add(location, f"cannot read {file}: it is not UTF-8 text")
        return None


def is_world_readable(file: Path) -> bool:
    """Whether the rights of a file let everybody read it; nobody may read one that has vanished since it was read."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
