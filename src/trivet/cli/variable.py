# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet variable``: what the application of an environment is told of it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from trivet.api import load_environment
from trivet.api.variables import delete_variable, sensitive_names, set_variable, variables_file, variables_of
from trivet.cli.change import Env, Json
from trivet.cli.output import Output, output_for
from trivet.errors import InputError
from trivet.model import Environment

HIDDEN = "(sensitive)"
KINDS = (
    "env:NAME is a variable of every process, php:NAME a setting of PHP, and NAME alone stands in "
    "MAGENTO_CLOUD_VARIABLES."
)

app = typer.Typer(
    no_args_is_help=True,
    help=f"Variables of the application, for an environment. {KINDS} The application gets them by its next deploy.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="NAME, env:NAME or php:NAME.")]


@app.command("list")
def list_variables(env: Env, json: Json = False) -> None:
    """Show the variables. The value of a sensitive one is not shown."""
    environment = load_environment(env)
    output = output_for(json)
    hidden = sensitive_names(environment)
    found = {name: HIDDEN if name in hidden else value for name, value in sorted(variables_of(environment).items())}
    if json:
        output.data(
            [
                {"name": name, "value": None if name in hidden else value, "sensitive": name in hidden}
                for name, value in found.items()
            ]
        )
        return
    table = Table("variable", "value", title=f"variables of {environment.name}")
    for name, value in found.items():
        table.add_row(escape(name), escape(value))
    output.print(table)


@app.command("get")
def get(env: Env, name: Name, json: Json = False) -> None:
    """Print the value of a variable. That of a sensitive one only ansible-vault tells."""
    environment = load_environment(env)
    if name in sensitive_names(environment):
        file = variables_file(environment).with_name("secrets.yml")
        raise InputError(f"{name} is sensitive", f"ansible-vault view {file}")
    found = variables_of(environment)
    if name not in found:
        raise InputError(f"{environment.name} has no variable {name}", f"trivet variable list {env}")
    if json:
        output_for(json).data({"name": name, "value": found[name]})
    else:
        typer.echo(found[name])


@app.command("set")
def set_one(
    env: Env,
    name: Name,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="Without it, it is read from standard input.")
    ] = None,
    sensitive: Annotated[bool, typer.Option("--sensitive", help="Keep it in the vault, and show it nowhere.")] = False,
    json: Json = False,
) -> None:
    """Set a variable. The application gets it by its next deploy.

    Example: trivet variable set production env:PAYMENT_KEY --sensitive < key.txt
    """
    environment = load_environment(env)
    given = value if value is not None else _asked(name, hidden=sensitive)
    changed = set_variable(environment, name, given, sensitive=sensitive)
    _told(output_for(json), environment, {"name": name, "changed": changed}, "set" if changed else "set already")


@app.command("delete")
def delete(env: Env, name: Name, json: Json = False) -> None:
    """Remove a variable. The application loses it by its next deploy."""
    environment = load_environment(env)
    delete_variable(environment, name)
    _told(output_for(json), environment, {"name": name, "changed": True}, "removed")


def _asked(name: str, *, hidden: bool) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=hidden))
    return sys.stdin.read().rstrip("\n")


def _told(output: Output, environment: Environment, values: dict[str, object], words: str) -> None:
    if output.json:
        output.data(values)
        return
    output.print(escape(f"{values['name']} of {environment.name}: {words}"))
    if values["changed"]:
        output.print(f"next: trivet redeploy {environment.label}")
