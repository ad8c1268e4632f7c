# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a whole."""

from __future__ import annotations

import tomllib
from pathlib import Path

from typer.testing import CliRunner

from trivet.cli.main import app

PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def test_the_version_is_the_project_s() -> None:
    result = CliRunner().invoke(app, ["--version"])
    version = tomllib.loads(PROJECT.read_text())["project"]["version"]
    assert (result.exit_code, result.output) == (0, f"trivet {version}\n")


def test_the_help_names_the_first_steps() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0 and "First steps" in result.output
