"""Tries the combinations one after another; exit status 1 if one of them fails."""

import sys
import tempfile
from pathlib import Path

import click

from tests.matrix import combinations, run


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where versions and logs are kept.  [a new one]")
@click.option("--list", "only_list", is_flag=True, help="Say what would be tried.")
@click.argument("wanted", nargs=-1, metavar="[PACKAGE==VERSION]…")
def main(folder: Path | None, only_list: bool, wanted: tuple[str, ...]) -> None:
    """All versions of Django, redis-py and django-redis, or those with WANTED, as in Django==5.2 redis==7."""
    chosen = list(combinations(list(wanted)))
    if not chosen:
        raise click.UsageError("there is no such combination; --list shows all")
    folder = folder or Path(tempfile.mkdtemp(prefix="kidoproxy-matrix-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for combination in chosen:
        why_not = combination.why_not()
        if only_list or why_not:
            click.echo(f"{combination}: {f'left out: {why_not}' if why_not else 'to be tried'}")
            continue
        passed, line = run(combination, folder, ["--timeout", "120"])
        failed += not passed
        click.echo(f"{combination}: {'passed' if passed else 'FAILED'}: {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
