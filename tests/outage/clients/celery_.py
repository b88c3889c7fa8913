# mypy: disable-error-code="import-untyped, untyped-decorator"
"""Celery, with broker and results on the server."""

from celery import Celery

from tests.outage.notes import URL, produce, ran

app = Celery("outage", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True


@app.task(name="run")
def run(number: int) -> int:
    ran(number)
    return number


def main() -> None:
    """The producer."""
    produce(lambda number: app.send_task("run", [number]))
