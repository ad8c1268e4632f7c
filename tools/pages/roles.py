# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/roles/: a page for each role, from its argument_specs, its verbs and its README."""

from __future__ import annotations

import re
from typing import Any

import yaml

from pages.places import ROOT

VERBS = (
    *("validate", "install", "configure", "start", "stop"),
    *("bootstrap", "start_async", "stop_async", "disable", "heal"),
)
ENTRY = "main"
GENERATED = "<!-- Written by bin/docs from roles/{role}/: changes made here are lost. -->"


def pages() -> dict[str, str]:
    """All pages of roles, by path from the root of the repository."""
    roles = sorted(path.parents[1].name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))
    specs = {role: specification(role) for role in roles}
    texts = {"README": index(specs), **{role: page(role, specs[role]) for role in roles}}
    return {f"docs/roles/{name}.md": text for name, text in texts.items()}


def specification(role: str) -> dict[str, Any]:
    """The entry point ``main`` of a role's argument_specs."""
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"][ENTRY]
    return found


def index(specs: dict[str, dict[str, Any]]) -> str:
    """The list of all roles."""
    lines = [GENERATED.format(role="*"), "", "# Roles", "", "| role | what it is |", "|---|---|"]
    lines += [f"| [{role}]({role}.md) | {inline(spec['short_description'])} |" for role, spec in specs.items()]
    return "\n".join([*lines, ""])


def page(role: str, spec: dict[str, Any]) -> str:
    """The page of one role."""
    lines = [
        GENERATED.format(role=role),
        "",
        f"# Role `trivet.commerce.{role}`",
        "",
        f"{inline(spec['short_description'])}.",
        "",
    ]
    for paragraph in paragraphs(spec.get("description")):
        lines += [paragraph, ""]
    lines += [f"Verbs (`tasks_from`): {verbs(role)}.", "", "## Variables", ""]
    options = spec.get("options") or {}
    for name, option in options.items():
        lines += variable(name, option)
    if not options:
        lines += ["None.", ""]
    return "\n".join([*lines, *notes(role)]).rstrip("\n") + "\n"


def verbs(role: str) -> str:
    """The verbs that a role has, in the order of a service's life."""
    tasks = ROOT / "roles" / role / "tasks"
    return ", ".join(f"`{verb}`" for verb in (ENTRY, *VERBS) if (tasks / f"{verb}.yml").is_file())


def variable(name: str, option: dict[str, Any]) -> list[str]:
    """Heading, type, default, description and sub-keys of one variable."""
    lines = [f"### `{name}`", ""]
    words = kind(option)
    if option.get("choices"):
        words += ", one of " + ", ".join(f"`{choice}`" for choice in option["choices"])
    if option.get("required"):
        words += ", required"
    lines += [*default(words, option), ""]
    for paragraph in paragraphs(option.get("description")):
        lines += [paragraph, ""]
    suboptions = option.get("options") or {}
    for key, suboption in suboptions.items():
        text = " ".join(paragraphs(suboption.get("description")))
        lines.append(f"- `{key}` ({kind(suboption)}): {text}")
    return [*lines, ""] if suboptions else lines


def kind(option: dict[str, Any]) -> str:
    """The type in words."""
    plain = str(option.get("type", "str"))
    return f"{plain} of {option['elements']}" if option.get("elements") else plain


def default(words: str, option: dict[str, Any]) -> list[str]:
    """Type and default on one line, or the default as a block of its own."""
    if "default" not in option:
        return [f"{words}, no default" if not option.get("required") else words]
    value = option["default"]
    if isinstance(value, str) and "\n" in value.strip():
        return [f"{words}, default:", "", "```jinja", value.strip(), "```"]
    # Flow style keeps short lists and dictionaries on one line; strings are shown as they stand.
    text = (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    )
    text = text.removesuffix("\n").removesuffix("...").strip() if text else '""'
    if len(text) > 100:
        text = yaml.safe_dump(value, default_flow_style=False, width=100, sort_keys=False).strip()
        return [f"{words}, default:", "", "```yaml", text, "```"]
    fence = "``" if "`" in text else "`"
    return [f"{words}, default {fence}{text}{fence}"]


def paragraphs(description: str | list[str] | None) -> list[str]:
    """A description as paragraphs of Markdown."""
    parts = [description] if isinstance(description, str) else description or []
    return [inline(part) for part in parts]


def inline(text: str) -> str:
    """Ansible's markup as Markdown: C(code), V(value), O(option), I(italics), B(bold)."""
    text = re.sub(r"\b[CVOE]\(([^()]*)\)", r"`\1`", " ".join(text.split()))
    text = re.sub(r"\bI\(([^()]*)\)", r"*\1*", text)
    return re.sub(r"\bB\(([^()]*)\)", r"**\1**", text)


def notes(role: str) -> list[str]:
    """The README of a role, its title left out, its headings one level down, its links as seen from docs/roles/."""
    path = ROOT / "roles" / role / "README.md"
    if not path.is_file():
        return []
    title, _, text = path.read_text(encoding="utf-8").strip().partition("\n")
    body = text.strip() if title.startswith("# ") else f"{title}\n{text}".strip()
    lines = []
    fenced = False
    for line in body.splitlines():
        fenced ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not fenced else line)
    return ["## Notes", "", *(line.replace("](../../docs/", "](../") for line in lines), ""]
