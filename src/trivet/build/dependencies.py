# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs what a build needs: tools that the application's file names, and the packages of composer.json."""

from __future__ import annotations

from typing import Any

from trivet.build.work import Work
from trivet.errors import BuildError

COMPOSER = "composer/composer"
COMPOSER_INSTALL = (
    *("composer", "--no-ansi", "--no-interaction", "install", "--no-progress", "--prefer-dist"),
    "--optimize-autoloader",
)
SATISFIES = (
    'require "/usr/share/php/Composer/Semver/autoload.php";'
    "exit(Composer\\Semver\\Semver::satisfies($argv[1], $argv[2]) ? 0 : 1);"
)
"""A program of PHP with composer's own rules for versions, which come with Debian's composer."""


def install_dependencies(work: Work) -> None:
    """Install the tools under ``dependencies``, for the user of the build alone.

    Raises:
        BuildError: One is not to be had.
    """
    wanted = {language: _versions(tools) for language, tools in work.application.dependencies.items() if tools}
    if not wanted:
        return
    work.log.step("Installing build dependencies...")
    for language, tools in wanted.items():
        if language == "php":
            _install_php_tools(work, tools)
        elif language == "nodejs":
            _install_node_tools(work, tools)
        else:
            work.log.warning(f"dependencies.{language} is not served here; the build goes on without it")


def install_packages(work: Work) -> None:
    """Install the packages of the application as its flavor says.

    Raises:
        BuildError: That failed.
    """
    application = work.application
    if application.runtime == "php" and application.flavor in ("composer", "default"):
        if "composer.json" in work.contents.files:
            work.log.step("Found a `composer.json`, installing dependencies.")
            _install(work, list(COMPOSER_INSTALL), "The installation of composer's packages")
    elif application.runtime == "nodejs" and application.flavor == "default" and "package.json" in work.contents.files:
        work.log.step("Found a `package.json`, installing dependencies.")
        _install(work, ["npm", "install", "--no-audit", "--no-fund"], "The installation of npm's packages")


def _versions(tools: Any) -> dict[str, str]:
    """Versions by name. ``php`` may have them under ``require``, beside repositories."""
    table = tools.get("require", tools) if isinstance(tools, dict) else {}
    return {str(name): str(version) for name, version in table.items()}


def _install_php_tools(work: Work, tools: dict[str, str]) -> None:
    tools = dict(tools)
    wanted = tools.pop(COMPOSER, None)
    if wanted is not None and not _has_composer(work, wanted):
        tools[COMPOSER] = wanted
    if tools:
        named = [f"{name}:{version}" for name, version in tools.items()]
        command = ["composer", "--no-ansi", "--no-interaction", "global", "require", "--no-progress", *named]
        _install(work, command, f"dependencies.php: the installation of {', '.join(named)}")


def _has_composer(work: Work, wanted: str) -> bool:
    """Whether Debian's composer is one that the application wants."""
    said = work.asked(["composer", "--no-ansi", "--version"]).stdout.split()
    version = next((word for word in said if word[:1].isdigit()), "0")
    if work.asked(["php", "-r", SATISFIES, "--", version, wanted]).returncode != 0:
        return False
    work.log.said(f"{COMPOSER} {version} is there and is {wanted}")
    return True


def _install_node_tools(work: Work, tools: dict[str, str]) -> None:
    named = [f"{name}@{version}" for name, version in tools.items()]
    command = ["npm", "install", "--global", "--no-audit", "--no-fund", "--no-progress", *named]
    _install(work, command, f"dependencies.nodejs: the installation of {', '.join(named)}")


def _install(work: Work, command: list[str], what: str) -> None:
    status = work.run(command)
    if status != 0:
        offline = "" if work.settings.network else " (the build has no network: setting `network`)"
        raise BuildError(f"{what} failed with status code {status}{offline}. Aborted build.")
