# mypy: disable-error-code="import-untyped,untyped-decorator"
"""The work that no page waits for: ``celery -A shop.tasks worker``."""

from celery import Celery

from . import settings

app = Celery("shop", broker=settings.CELERY_BROKER_URL, backend=settings.CELERY_RESULT_BACKEND)


@app.task
def total(prices: list[int]) -> int:
    """What a cart costs."""
    return sum(prices)
