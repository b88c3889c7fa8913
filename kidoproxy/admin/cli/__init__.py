"""The command line: ``kidoproxy serve`` and the few commands around it, one file each.

Exit status 0: done; 1: it did not work, one line says why; 2: the configuration or the command line is
wrong, and nothing was started. As diff(1) does, ``ring diff`` ends with 1 if keys would move, and ``scrub`` with 1 if
copies differ, with 2 if it could not compare them. What a command needs is imported when it runs, so that ``--help``
is quick.
"""

import click

from kidoproxy import __version__
from kidoproxy.admin.cli.about import config_command, version_command
from kidoproxy.admin.cli.check import check
from kidoproxy.admin.cli.import_pools import import_pools
from kidoproxy.admin.cli.reload import reload
from kidoproxy.admin.cli.ring import ring
from kidoproxy.admin.cli.route import route
from kidoproxy.admin.cli.scrub import scrub
from kidoproxy.admin.cli.serve import serve
from kidoproxy.admin.cli.sync import sync
from kidoproxy.admin.cli.top import top
from kidoproxy.admin.cli.upgrade import upgrade


@click.group("kidoproxy", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", prog_name="kidoproxy")
def main() -> None:
    """kidoproxy looks like one Redis, and is many Redis servers behind.

    \b
    ring   each key lives on one node, chosen by a consistent hash
    copy   each key lives on every node; writes go to all, a read asks one

    \b
    Try it, with servers that it starts itself (pip install "kidoproxy[demo]"):
      kidoproxy serve
    \b
    Then with servers of your own:
      kidoproxy config > ring.toml
      kidoproxy check --config ring.toml
      kidoproxy serve --config ring.toml
    \b
    Completion of commands and options, here for bash (zsh and fish alike):
      eval "$(_KIDOPROXY_COMPLETE=bash_source kidoproxy)"
    """


COMMANDS = (serve, check, reload, upgrade, top, ring, route, sync, scrub, import_pools, config_command, version_command)
for command in COMMANDS:
    main.add_command(command)
