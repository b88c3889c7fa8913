"""``kidoproxy check``; its output is tested with real nodes in `tests.live.test_check`."""

from kidoproxy.admin.cli.check import share_bar


def test_bar() -> None:
    """A bar is as long as the share."""
    assert share_bar(0.5) == "█" * 10 + "·" * 10
