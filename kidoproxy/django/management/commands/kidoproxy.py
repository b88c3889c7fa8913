# mypy: disable-error-code="import-untyped,untyped-decorator", disallow-subclassing-any=False
"""``manage.py kidoproxy``: the pools behind the caches and their nodes; with keys, where each of them lives."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from kidoproxy.django.addresses import without_login
from kidoproxy.django.served import (
    NO_ADDRESS,
    client_of,
    is_on_redis,
    made_cache,
    node_statuses,
    proxy_info,
    route_lines,
)


class Command(BaseCommand):
    """Exit status 1 if a cache could not be asked, or a node is down."""

    help = (
        "Without keys: the pools behind CACHES and their nodes. With keys: where each lives, with prefix and version."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Django's hook."""
        parser.add_argument("keys", nargs="*", metavar="KEY", help="A key as the site writes it.")
        parser.add_argument("--cache", metavar="ALIAS", help="The cache. Default: all, and for keys: default.")
        parser.add_argument(
            "--key-version", type=int, metavar="N", help="The version of the keys. Default: the cache's."
        )
        parser.add_argument("--raw", action="store_true", help="The keys are Redis's own: no prefix and version.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's hook."""
        keys, alias = options["keys"], options["cache"]
        if alias is not None and alias not in settings.CACHES:
            raise CommandError(f"there is no cache {alias!r}; there are {', '.join(settings.CACHES)}")
        if keys:
            self._ask(alias or "default", lambda: self._where(made_cache(alias or "default"), keys, options))
            return
        aliases = [alias] if alias else list(settings.CACHES)
        failed = [name for name in aliases if not self._status(name)]
        if failed:
            raise CommandError(f"not well: {', '.join(failed)}")

    def _status(self, alias: str) -> bool:
        """One cache and its nodes; whether all is well."""
        backend = settings.CACHES[alias].get("BACKEND", "")
        try:
            return bool(self._ask(alias, lambda: self._show(alias, backend, made_cache(alias))))
        except CommandError as error:
            self.stdout.write(f"{alias}: {backend}\n  {str(error).removeprefix(f'{alias}: ')}")
            return False

    def _show(self, alias: str, backend: str, cache: Any) -> bool:
        if not is_on_redis(cache):
            self.stdout.write(f"{alias}: {backend}, which is not on Redis")
            return True
        client = client_of(cache)
        kwargs = client.connection_pool.connection_kwargs
        place = without_login(kwargs.get("path") or f"{kwargs.get('host')}:{kwargs.get('port')}")
        where = f"{place} database {kwargs.get('db') or 0}"
        info = proxy_info(client)
        if info is None:
            client.ping()
            self.stdout.write(f"{alias}: {backend}\n  {where}: a Redis, and no kidoproxy")
            return True
        self.stdout.write(f"{alias}: {backend}\n  {where}: pool.{info['pool']}, a {info['mode']} pool")
        nodes = node_statuses(client)
        width = max((len(node.name) for node in nodes), default=0)
        for node in nodes:
            self.stdout.write(f"    {node.name.ljust(width)}  {node.state:<8}  {node.address}  {node.cause}".rstrip())
        return all(node.is_well for node in nodes)

    def _where(self, cache: Any, keys: list[str], options: dict[str, Any]) -> None:
        if not is_on_redis(cache):
            raise CommandError("this cache is not on Redis")
        client = client_of(cache)
        if proxy_info(client) is None:
            raise CommandError("this cache is on a Redis that is no kidoproxy: every key is there")
        for key in keys:
            made = key if options["raw"] else cache.make_key(key, version=options["key_version"])
            self.stdout.write(f"{key}: {made}" if made != key else key)
            for line in route_lines(client, "GET", made)[1:]:
                self.stdout.write(f"  {line}")

    def _ask(self, alias: str, ask: Any) -> Any:
        """What was asked; errors of settings and of the network become one line."""
        from redis.exceptions import RedisError

        try:
            return ask()
        except (ImproperlyConfigured, RedisError, OSError) as error:
            raise CommandError(f"{alias}: {error}") from None
        except ValueError:
            raise CommandError(f"{alias}: LOCATION: {NO_ADDRESS}") from None
