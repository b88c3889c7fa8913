# mypy: disable-error-code="import-untyped"
"""What stands in INSTALLED_APPS: it brings checks, and a command."""

import django
from django.core.checks import registry
from django.core.management import get_commands
from django.test.utils import override_settings

django.setup()


def test_the_checks_run_with_deploy_alone() -> None:
    """A plain check asks no proxy."""
    with override_settings(INSTALLED_APPS=["kidoproxy.django"]):
        always = {check.__name__ for check in registry.registry.registered_checks}
        deploy = {check.__name__ for check in registry.registry.deployment_checks}
    assert {"check_caches", "check_queues", "check_values"} <= deploy - always


def test_the_command_is_found() -> None:
    """manage.py knows it while the app is installed."""
    with override_settings(INSTALLED_APPS=["kidoproxy.django"]):
        get_commands.cache_clear()
        assert get_commands()["kidoproxy"] == "kidoproxy.django"
    get_commands.cache_clear()
