"""The status page in a real browser, while nodes die and keys have hostile names."""

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.live.proxies import RunningProxy, Starter
from tests.needs import needs
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live

OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
#: Where screenshots are put, if somebody wants to look at them.
SHOTS: Final = os.environ.get("KIDOPROXY_SCREENSHOTS", "")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One Chromium for all tests of this file."""
    options = webdriver.ChromeOptions()
    options.binary_location = needs("chromium")
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(needs("chromedriver")))
    yield found
    found.quit()


def look(browser: webdriver.Chrome, name: str, width: int = 1280, dark: bool = False) -> None:
    """The page at that width, in that scheme; nothing may stand out of it."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    if SHOTS:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "height": height})
        browser.save_screenshot(str(Path(SHOTS) / f"{name}.png"))


def text(browser: webdriver.Chrome, selector: str = "body") -> str:
    """What stands there, as a person reads it."""
    return " ".join(browser.find_element(By.CSS_SELECTOR, selector).text.split())


def no_complaints(browser: webdriver.Chrome) -> None:
    """Neither the script nor the policy had anything to say."""
    lines: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [line for line in lines if "status.json" not in line["message"]] == []


def test_page_shows_the_death_of_a_node(own_proxy: Starter, browser: webdriver.Chrome) -> None:
    """State, cause, errors and readiness change by themselves; in the end the page says that it is old."""
    port = free_port()
    with own_proxy("ring", 3, proxy={"admin": f"127.0.0.1:{port}"}) as proxy:
        fill(proxy)
        browser.get(f"http://127.0.0.1:{port}/")
        assert eventually(lambda: text(browser, "#nodes").count("● up") == 3, 20)
        assert eventually(lambda: "KiB" in text(browser, "#nodes") or "MiB" in text(browser, "#nodes"), 20)
        assert "● ready" in text(browser, "#state")
        look(browser, "light")
        look(browser, "dark", dark=True)
        look(browser, "phone", width=375)
        look(browser, "phone-dark", width=375, dark=True)
        look(browser, "tablet", width=820)
        proxy.nodes.kill(1)
        assert eventually(lambda: "down" in text(browser, "#nodes"), 20)
        with proxy.client() as client:
            for at in range(30):
                with contextlib.suppress(redis.ResponseError):
                    client.get(f"key:{at}")
        assert eventually(lambda: "NODEDOWN" in text(browser, "#errors"), 20)
        assert eventually(lambda: "1 down" in browser.title, 20)
        look(browser, "node-down")
        look(browser, "node-down-phone", width=375)
        no_complaints(browser)
        proxy.stop()
        assert eventually(lambda: "No answer" in text(browser, "#stale"), 20)


def fill(proxy: RunningProxy) -> None:
    """Some traffic, with names of keys that would harm a page which believed them."""
    hostile = [b"<script>document.title='owned'</script>", b'"><img src=x onerror=alert(1)>', b"\xff\x00\x1b[31mred"]
    with proxy.client() as client:
        for at in range(300):
            client.set(f"key:{at}", "x" * 100)
        for key in hostile * 20:
            client.set(key, "1")
            client.get(key)


def test_copies_are_shown_with_their_sync(own_proxy: Starter, browser: webdriver.Chrome) -> None:
    """A copy that has missed writes is behind, then in sync again."""
    port = free_port()
    with own_proxy("copy", 2, proxy={"admin": f"127.0.0.1:{port}"}) as proxy:
        fill(proxy)
        browser.get(f"http://127.0.0.1:{port}/")
        assert eventually(lambda: text(browser, "#copies").count("in sync") == 2, 20)
        proxy.nodes.kill(1)
        fill(proxy)
        assert eventually(lambda: "down" in text(browser, "#copies"), 20)
        look(browser, "copies")
        no_complaints(browser)


def ask(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a page."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as found:
            return found.status, dict(found.headers), found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_status_of_several_workers(own_proxy: Starter, tmp_path: Path) -> None:
    """The document speaks for all workers, and for those who show the token."""
    port = free_port()
    token = tmp_path / "token"
    token.write_text("sesame\n")
    token.chmod(0o600)
    settings = {"admin": f"127.0.0.1:{port}", "workers": 2, "admin_token_file": str(token)}
    with own_proxy("ring", 2, proxy=settings) as proxy:
        for _ in range(12):
            with proxy.client() as client:
                client.set("k", "v")
        assert ask(port, "/status.json")[0] == 401
        assert ask(port, "/livez")[0] == 200
        status, headers, body = ask(port, "/status.json", {"Authorization": "Bearer sesame"})
        document = json.loads(body)
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert document["workers"] == {"0": 1, "1": 1}
        assert document["pools"][0]["commands_by_family"]["string"] == 12
        assert abs(sum(member["share"] for member in document["pools"][0]["members"]) - 1) < 1e-4
