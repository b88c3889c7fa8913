"""``python -m deploy.manual``: writes the man page and the shell completions into ``deploy/share``.

All of it is click's own: the texts of ``--help``, and what ``_KIDOPROXY_COMPLETE=bash_source kidoproxy`` prints.
A wheel installs the folder as ``share`` beside ``bin``, where man and bash look by themselves.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from deploy.compile_packages import ROOT
from kidoproxy import __version__
from kidoproxy.admin.cli import main as program

SHARE: Final = ROOT / "deploy" / "share"
COMPLETIONS: Final[dict[str, type[ShellComplete]]] = {
    "bash-completion/completions/kidoproxy": BashComplete,
    "zsh/site-functions/_kidoproxy": ZshComplete,
    "fish/vendor_completions.d/kidoproxy.fish": FishComplete,
}

EXIT_STATUS: Final = """\
.SH EXIT STATUS
.TP
0
done
.TP
1
it did not work, and one line says why; keys would move (ring diff); copies differ (scrub)
.TP
2
the configuration or the command line is wrong, and nothing was started; the copies could not be compared (scrub)
"""


def roff(text: str) -> str:
    """A text in ASCII in which nothing is an instruction of troff; its lines stay lines."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = re.sub(r"[^\0-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", text)
    return re.sub(r"(?m)^\.", r"\\&.", text)


def paragraphs(text: str) -> Iterator[str]:
    """A help text: paragraphs that are filled, and those behind a backspace as they stand."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = paragraph.splitlines()
        if lines[:1] == ["\b"]:
            yield ".PP\n.nf\n" + "\n".join(map(roff, lines[1:])) + "\n.fi\n"
        elif lines:
            yield ".PP\n" + "\n".join(roff(line.strip()) for line in lines) + "\n"


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """The options with what they do."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield f".TP\n\\fB{roff(record[0])}\\fR\n{roff(record[1])}\n"


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Each command that does something by itself, in the order of ``--help``."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield from commands(below, click.Context(below, info_name=name, parent=context))


def man_page() -> str:
    """The page for section 1."""
    context = click.Context(program, info_name="kidoproxy", **program.context_settings)
    assert program.help is not None
    first, *rest = paragraphs(program.help)
    page = [
        f'.\\" Made by python -m deploy.manual.\n.TH KIDOPROXY 1 "" "kidoproxy {__version__}" "User Commands"\n.nh\n'
    ]
    page.append(".SH NAME\nkidoproxy \\- looks like one Redis, and is many Redis servers behind\n")
    page.append(".SH SYNOPSIS\n\\fBkidoproxy\\fR \\fIcommand\\fR [\\fIoption\\fR ...] [\\fIargument\\fR ...]\n")
    page += [".SH DESCRIPTION\n", first.removeprefix(".PP\n"), *rest, *options(program, context), ".SH COMMANDS\n"]
    for command, below in commands(program, context):
        usage = " ".join(command.collect_usage_pieces(below))
        page.append(f".SS \\fB{roff(below.command_path)}\\fR {roff(usage)}\n")
        page += [*paragraphs(command.help or ""), *options(command, below)]
    page += [EXIT_STATUS, ".SH SEE ALSO\n\\fBredis\\-cli\\fR(1), \\fBredis\\-server\\fR(1)\n"]
    return "".join(page)


def completion(shell: type[ShellComplete]) -> str:
    """What the program prints for the shell."""
    # The base class's: bash would be started to ask for its version.
    return ShellComplete.source(shell(program, {}, "kidoproxy", "_KIDOPROXY_COMPLETE")).strip() + "\n"


def files() -> dict[str, str]:
    """Each file below ``share``, and what is to stand in it."""
    return {"man/man1/kidoproxy.1": man_page()} | {path: completion(shell) for path, shell in COMPLETIONS.items()}


def main(share: Path = SHARE) -> None:
    for name, text in files().items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
