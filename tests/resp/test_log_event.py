"""`kidoproxy.resp.log_event`: an event of the log and its text."""

from kidoproxy.resp.log_event import LogEvent


def test_the_text_of_an_event() -> None:
    """Fields keep their order and are told behind the name; without any the name is all."""
    assert str(LogEvent("node down", {"node": "a", "port": 7, "cause": "no route"})) == (
        "node down: node=a port=7 cause=no route"
    )
    assert str(LogEvent("stopped", {})) == "stopped"
