"""The status page: one file without anything from elsewhere, which shows ``/status.json`` and can change nothing.

Its policy allows the one script and the one style that are in the file, by their hashes, and requests to this proxy.
"""

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

PAGE_FILE: Final = "page.html"
INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page_html() -> bytes:
    """The file."""
    return resources.files(__package__).joinpath(PAGE_FILE).read_bytes()


@cache
def content_security_policy() -> str:
    """What the page may do: run what stands in it, and ask where it came from."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(page_html()):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        allowed[kind.decode()].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(allowed['script'])}",
            f"style-src {' '.join(allowed['style'])}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
