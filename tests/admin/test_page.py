"""The status page is one file that asks nobody else, and its policy is made of what is in it."""

import base64
import hashlib

import pytest

from kidoproxy.admin.page import INLINE, content_security_policy, page_html


def test_nothing_comes_from_elsewhere() -> None:
    """No address of another machine but the name of SVG; no handler in an attribute, which the policy would not run."""
    text = page_html().decode().replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text
    assert "//" not in [part for part in text.split('"') if part.startswith("//")]
    assert not [word for word in ("onclick=", "onload=", "<iframe", "<form", "eval(", "innerHTML =") if word in text]


def test_policy_names_what_is_inline() -> None:
    """The one script and the one style, by their hashes; nothing else may run."""
    policy = content_security_policy()
    found = INLINE.findall(page_html())
    assert [kind for kind, _ in found] == [b"style", b"script"]
    for kind, text in found:
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert f"{kind.decode()}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("part", ["default-src 'none'", "form-action 'none'", "frame-ancestors 'none'"])
def test_policy_forbids(part: str) -> None:
    """It can neither be framed nor send anything away."""
    assert part in content_security_policy().split("; ")


def test_one_poll_at_a_time() -> None:
    """A page that is hidden and shown again does not ask twice from then on."""
    script = dict(INLINE.findall(page_html()))[b"script"].decode()
    poll = script.partition("async function poll() {")[2]
    assert poll.index("if (asking) return;") < poll.index("clearTimeout(timer)") < poll.index("await fetch(")
    assert script.count("setTimeout(poll") == poll.count("timer = setTimeout(poll") == 1
