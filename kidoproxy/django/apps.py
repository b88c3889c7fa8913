# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""``INSTALLED_APPS = ["kidoproxy.django"]``: the checks of the caches, and ``manage.py kidoproxy``."""

from django.apps import AppConfig
from django.core import checks


class KidoproxyConfig(AppConfig):
    """Neither models nor templates."""

    name = "kidoproxy.django"
    label = "kidoproxy"
    verbose_name = "kidoproxy"

    def ready(self) -> None:
        """Registers the checks. They ask the proxy, so they run with ``--deploy`` alone."""
        from kidoproxy.django.checks import check_caches, check_queues, check_values

        for check in (check_caches, check_queues, check_values):
            checks.register(check, checks.Tags.caches, deploy=True)
