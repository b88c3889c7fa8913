"""A bar in a terminal, and few lines elsewhere."""

import pytest

from kidoproxy.admin.progress import BAR_WIDTH, LOG_SECONDS, ProgressReport, bar


def test_bar() -> None:
    """As long as it is far; nothing while nobody knows how far."""
    assert bar(0, 0) == ""
    assert bar(0, 10) == f"[{'.' * BAR_WIDTH}]"
    assert bar(5, 10) == f"[{'#' * (BAR_WIDTH // 2)}{'.' * (BAR_WIDTH // 2)}]"
    assert bar(11, 10) == f"[{'#' * BAR_WIDTH}]"


def test_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What passes is drawn over."""
    report = ProgressReport(True)
    report("b: behind")
    report("b: syncing, long", passing=True)
    report("b: syncing", passing=True)
    report("b: in sync")
    report("done")
    assert capsys.readouterr().out == "b: behind\nb: syncing, long\rb: syncing      \rb: in sync\ndone\n"


def test_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """What passes is shown now and then, what stays always."""
    now = [0.0]
    report = ProgressReport(False, lambda: now[0])
    for at in range(4):
        now[0] = at * LOG_SECONDS / 2
        report(f"{at}", passing=True)
    report("in sync")
    assert capsys.readouterr().out == "0\n2\nin sync\n"
