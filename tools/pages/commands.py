# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference/commands.md: every command of ``trivet``, from the help that it prints itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from trivet.cli.main import app

BAR = "\\|"
"""A stroke that ends no cell."""
PATH = "docs/reference/commands.md"
HEAD = """<!-- Written by bin/docs from the commands' own help (src/trivet/cli): changes made here are lost. -->

# Commands

`ENV` is the name of a folder in `inventories/`, the name of a lab, or a path to an inventory.
`trivet COMMAND --help` prints the same.
[Exit codes](exit-codes.md) has what each command ends with; [How to](../how-to/README.md) has a page a task.
"""


def pages() -> dict[str, str]:
    """The page, by its path."""
    lines = [HEAD]
    for context in commands(context_of(typer.main.get_command(app), "trivet")):
        lines += section(context)
    return {PATH: "\n".join(lines).rstrip("\n") + "\n"}


def context_of(command: Any, name: str, parent: Any = None) -> Any:
    """The context in which a command would run; untyped, since typer has a click of its own or another's."""
    return command.context_class(command, info_name=name, parent=parent)


def commands(context: Any) -> Iterator[Any]:
    """Every command that does something, in the order of the help; of groups their commands."""
    if not hasattr(context.command, "list_commands"):
        yield context
        return
    for name in context.command.list_commands(context):
        child = context.command.get_command(context, name)
        if not child.hidden:
            yield from commands(context_of(child, name, context))


def section(context: Any) -> list[str]:
    """Heading, usage, help and parameters of one command."""
    command = context.command
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [called(parameter) for parameter in shown if not is_option(parameter)]
    lines = [f"## {context.command_path}", "", f"`{' '.join([context.command_path, *arguments, '[OPTION…]'])}`", ""]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [" ".join(paragraph.split()), ""]
    if shown:
        lines += ["| argument or option | what it is |", "|---|---|", *(row(parameter) for parameter in shown), ""]
    return lines


def is_option(parameter: Any) -> bool:
    """Whether it is named on the command line."""
    return bool(parameter.param_type_name == "option")


def called(parameter: Any) -> str:
    """How its value is called."""
    return str(parameter.metavar or str(parameter.name).upper())


def row(parameter: Any) -> str:
    """A row of the table: how it is written, what it is, its default."""
    text = " ".join((parameter.help or "").split())
    written = called(parameter)
    if is_option(parameter):
        written = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.required:
            text += " Required."
        if not parameter.is_flag:
            written += f" {called(parameter)}"
            if parameter.default not in (None, "", ()):
                text += f" Default: `{as_typed(parameter.default)}`."
    return f"| `{written.replace('|', BAR)}` | {text.strip().replace('|', BAR)} |"


def as_typed(default: object) -> str:
    """A default as it would be typed."""
    return f"{default:g}" if isinstance(default, float) else str(default)
