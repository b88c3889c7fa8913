"""``${NAME}`` in any string of the file is replaced from the environment; ``$${`` stands for itself.

``$NAME`` means nothing, and where a secret is wanted it is a mistake: it would be the secret itself.

In front of the ``@`` of a ``redis://`` URL a value is percent-encoded on the way, so that a password
may hold any character.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.wording import did_you_mean

VARIABLE_PATTERN: Final = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_USERINFO: Final = re.compile(r"^rediss?://(.*)@", re.DOTALL)
#: The whole of a secret, or capitals inside one; a password that really is like this stands in a file.
_UNBRACED: Final = re.compile(r"\A\$([A-Za-z_][A-Za-z0-9_]*)\Z|\$([A-Z_][A-Z0-9_]{2,})(?![A-Za-z0-9_])")
_ANY_NAME: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_SECRET_KEYS: Final = ("password", "username")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: In place of a variable that is missing: nothing else is to be said of that setting. It may be a port.
_STAND_IN: Final = "1"


def interpolate(value: object, environ: Mapping[str, str], problems: Problems, location: Location = ()) -> object:
    """The same tree of tables, lists and strings with all variables replaced; the missing ones are noted."""
    if isinstance(value, dict):
        return {key: interpolate(item, environ, problems, (*location, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, environ, problems, (*location, i)) for i, item in enumerate(value)]
    if isinstance(value, str) and "$" in value:
        _check_braces(value, environ, problems, location)
        return _substitute(value, environ, problems, location)
    return value


def _substitute(text: str, environ: Mapping[str, str], problems: Problems, location: Location) -> str:
    userinfo = _USERINFO.match(text)
    userinfo_end = userinfo.end(1) if userinfo else 0

    def value_of(match: re.Match[str]) -> str:
        if match.group(1):
            return "${"
        name = match.group(2)
        if not _NAME.fullmatch(name):
            problems.add(
                location, f'"${{{name}}}" does not name an environment variable; write "$${{" for a plain "${{"'
            )
            return ""
        if name not in environ:
            problems.add(location, f'the environment has no "{name}"' + _suggest_variable(name, environ))
            return _STAND_IN
        found = environ[name]
        return quote(found, safe="") if match.end() <= userinfo_end else found

    return VARIABLE_PATTERN.sub(value_of, text)


def _check_braces(text: str, environ: Mapping[str, str], problems: Problems, location: Location) -> None:
    userinfo = _USERINFO.match(text)
    if userinfo:
        secrets = userinfo.group(1).split(":", 1)
    elif location and location[-1] in _SECRET_KEYS:
        secrets = [text]
    else:
        return
    for secret in secrets:
        found = _UNBRACED.search(secret) or _find_unbraced_variable(secret, environ)
        if found:
            name = next(filter(None, found.groups()))
            problems.add(location, f'has "${name}" without braces; write "${{{name}}}", or put the secret into a file')


def _find_unbraced_variable(secret: str, environ: Mapping[str, str]) -> re.Match[str] | None:
    """``$name`` inside a secret, where the environment has that name."""
    return next((found for found in _ANY_NAME.finditer(secret) if found[1] in environ), None)


def _suggest_variable(name: str, environ: Mapping[str, str]) -> str:
    by_lower = {key.lower(): key for key in environ}
    hint = did_you_mean(name, by_lower)
    return re.sub(r'"(.*)"', lambda match: f'"{by_lower[match.group(1)]}"', hint)
