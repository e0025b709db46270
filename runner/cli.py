"""What a person types, turned into one call; and what came of it, turned into an exit code.

    serve, check, config     settings -> a supervisor, a verdict, a list
    status, reload, stop     a question to the supervisor that is already running

Laws: the options are derived from the settings, never written here; an error is one line on stderr, never a
traceback, and its exit code is its own (2 for what was typed, 3 for what the machine refused); nothing of the
application is imported. Start at serve.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NoReturn

import click

from runner.errors import RunnerError, UsageError
from runner.settings import KNOBS, Knob, Resolved, resolve
from runner.status import render, render_reload, render_resources
from runner.values import nearest
from runner.version import version

CANDIDATES = ("app.py", "wsgi.py", "main.py")   # what is served where nobody says what
OPTIONS = {"help_option_names": ["-h", "--help"]}


class Commands(click.Group):
    """A click group whose every error is one line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Do what *args* say, then leave the process. All errors that are meant for people end here."""
        try:
            code = super().main(args, "runner", standalone_mode=False)
        except RunnerError as error:
            code = _complain(str(error), error.exit_code)
        except click.NoSuchOption as error:
            code = _complain(_unknown_option(error), UsageError.exit_code)
        except click.ClickException as error:
            code = _complain(error.format_message(), error.exit_code)
        except click.Abort:
            code = _complain("interrupted", 130)
        sys.exit(code)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does it, with a remedy."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            remedy = nearest(args[0], self.commands) or f"; there are {', '.join(sorted(self.commands))}"
            raise UsageError(f"there is no command {args[0]!r}{remedy}")
        return super().resolve_command(ctx, args)


class Serving(click.Command):
    """A command that takes the target and all settings, and shows them in its help under their headings."""

    def __init__(self, *args: Any, **more: Any) -> None:
        knobs = [parameter for known in KNOBS for parameter in _parameters(known)]
        super().__init__(*args, **more | {"params": knobs})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options as the settings know them; click would make one long list."""
        for heading, knobs in groupby(KNOBS, key=lambda known: known.heading):
            with formatter.section(heading):
                formatter.write_dl([row for known in knobs for row in _help_rows(known)])
        formatter.write_paragraph()
        formatter.write_text("Times: 30s, 500ms, 2m, 1h, off. Sizes: 64M, 1G, 512K, off. Every option is "
                             "also a key of runner.toml (max-body) and a name in the environment "
                             "(RUNNER_MAX_BODY).")


def _parameters(known: Knob) -> list[click.Parameter]:
    if known.name == "target":
        return [click.Argument(["target"], required=False)]
    if known.kind.switch:
        return [click.Option([f"{known.flag}/--no-{known.key}", known.name], default=None)]
    option = click.Option([known.flag, known.name], multiple=known.kind.repeatable)
    return [option, click.Option(["--no-reload"], is_flag=True)] if known.name == "reload" else [option]


def _help_rows(known: Knob) -> list[tuple[str, str]]:
    default = f"  [{known.default}]" if known.default else ""
    rows = [(known.usage, known.help + default)]
    return [*rows, ("--no-reload", "the same as --reload off")] if known.name == "reload" else rows


def _unknown_option(error: click.NoSuchOption) -> str:
    context = error.ctx or click.get_current_context()
    known = [name for each in context.command.get_params(context) if isinstance(each, click.Option)
             for name in (*each.opts, *each.secondary_opts)]
    remedy = nearest(error.option_name, known) or f"; see {context.command_path} --help"
    return f"there is no option {error.option_name}{remedy}"


def _complain(message: str, code: int) -> int:
    click.echo(f"runner: {' '.join(message.split())}", err=True)
    return code


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"runner {version() or '(not installed)'}")
        context.exit()


@click.group(cls=Commands, invoke_without_command=True, context_settings=OPTIONS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def commands(context: click.Context) -> None:
    """Keep a Python web application running; every request is answered by the code as last saved."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


# ---- commands that take settings --------------------------------------------------------------------------

@commands.command(cls=Serving)
def serve(**given: Any) -> int:
    """Serve TARGET until told to stop."""
    environ, directory = dict(os.environ), _here()   # as at the start, whenever the file is read again

    def read() -> Resolved:
        return _complete(resolve(_flags(given), environ, directory))

    first = read()
    # Here and not above: whoever only asks, or mistypes, need not pay for a supervisor.
    from runner.supervisor import serve as supervisor

    return supervisor.serve(first, read)


@commands.command(cls=Serving)
def check(**given: Any) -> int:
    """Import TARGET once and say whether it could be served."""
    settings = _complete(_resolve(given)).settings
    from runner.process import launch

    code = subprocess.run(launch.command("--check"), input=settings.to_json(), text=True, check=False).returncode
    return code if code >= 0 else 128 - code   # killed by a signal: as a shell says it


@commands.command(cls=Serving)
def config(**given: Any) -> None:
    """Print every setting, and where its value comes from."""
    settings, sources = _resolve(given)
    rows = [(known.key, known.show(getattr(settings, known.name)) or "none", sources[known.name])
            for known in KNOBS]
    name_width = max(len(name) for name, _, _ in rows)
    # One long path shall not push all the sources out of sight.
    value_width = max(len(value) for _, value, _ in rows if len(value) <= 32)
    for name, value, source in rows:
        click.echo(f"{name:<{name_width}} = {value:<{value_width}}   ({source})")


def _flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed: click's None and empty tuples mean "not given"."""
    flags = {name: value for name, value in given.items() if value not in (None, ())}
    return flags | {"reload": "off"} if flags.pop("no_reload", False) else flags


def _here() -> str:
    """The current directory under the name by which the shell entered it: a link that deployments swap stays one."""
    named = os.environ.get("PWD", "")
    try:
        same = os.path.isabs(named) and os.path.normpath(named) == named and os.path.samefile(named, ".")
    except OSError:
        same = False
    return named if same else os.getcwd()


def _resolve(given: Mapping[str, Any]) -> Resolved:
    return resolve(_flags(given), os.environ, _here())


def _complete(resolved: Resolved) -> Resolved:
    """With the only candidate in the directory as the target, if nobody named one. Raises UsageError."""
    settings = resolved.settings
    if settings.target:
        return resolved
    found = [name for name in CANDIDATES if os.path.isfile(os.path.join(settings.chdir, name))]
    match found:
        case [only]:
            return Resolved(replace(settings, target=only), {**resolved.sources, "target": "found"})
        case []:
            raise UsageError(f"no TARGET, and none of {', '.join(CANDIDATES)} is in {settings.chdir!r}; "
                             "name one, for example: runner serve app:main")
        case _:
            raise UsageError(f"no TARGET, and {', '.join(found)} are all possible; "
                             f"name one, for example: runner serve {found[0]}")


# ---- commands that ask a running supervisor ------------------------------------------------------------

_TARGET = click.argument("target", required=False)
_CONTROL = click.option("--control", metavar="SOCKET", help="The control socket of the run.")


@commands.command()
@_TARGET
@_CONTROL
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--resources", is_flag=True, help="What requests have open, opened where, for whom, since when.")
def status(target: str | None, control: str | None, as_json: bool, resources: bool) -> None:
    """Show what the run in this directory is doing."""
    report = _ask(target, control, {"command": "status", "resources": resources})
    text = render_resources(report) if resources else render(report)
    click.echo(json.dumps(report) if as_json else text.rstrip("\n"))


@commands.command()
@_TARGET
@_CONTROL
@click.option("--wait/--no-wait", default=True, help="Until the new generation serves.", show_default=True)
def reload(target: str | None, control: str | None, wait: bool) -> None:
    """Start a new generation, as after a save."""
    reply = _ask(target, control, {"command": "reload", "wait": wait})
    outcome = reply.get("last_reload") or reply
    if wait and outcome.get("error"):
        raise RunnerError(render_reload(outcome))
    click.echo(render_reload(outcome) if wait else "reloading")


@commands.command()
@_TARGET
@_CONTROL
@click.option("--now", is_flag=True, help="Without waiting for the requests under way.")
def stop(target: str | None, control: str | None, now: bool) -> None:
    """Stop the run: gracefully, or now."""
    _ask(target, control, {"command": "stop", "now": now})
    click.echo("stopping now" if now else "stopping")


def _ask(target: str | None, control: str | None, question: dict[str, Any]) -> dict[str, Any]:
    """What the run answers. Raises RunnerError if there is no such run, or if it says that it failed."""
    # Here and not above: a command that asks nobody needs no sockets.
    from runner.supervisor.control import ask, find

    reply = ask(_own_control(control) or find(_here(), target), question)
    if reply.get("error"):
        raise RunnerError(f"{question['command']}: {reply['error']}")
    return reply


def _own_control(control: str | None) -> str | None:
    """The control socket that the option, the environment or the file names, if any does."""
    if control:
        return os.path.abspath(control)
    try:
        return _resolve({}).settings.control
    except UsageError:   # a file that is broken just now: the run goes on with what it read before
        return None


def main() -> None:
    """The command `runner`, in a process whose standard streams are there (__main__.py)."""
    commands.main()
