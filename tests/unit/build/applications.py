# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications for tests, read as a project's are."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from trivet.project import check
from trivet.project.application import Application

PLAIN = """
name: shop
type: php:8.2
web:
  locations:
    "/":
      root: pub
      passthru: /index.php
"""


def write_project(directory: Path, text: str = PLAIN, more: str = "", **files: str) -> Path:
    """Write a project of one application.

    Args:
        directory: Where.
        text: Its file.
        more: Goes to the end of the file.
        files: Further files by their name, two underscores for a slash.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ".magento").mkdir(exist_ok=True)
    (directory / ".magento" / "services.yaml").write_text("")
    (directory / ".magento" / "routes.yaml").write_text("")
    (directory / ".magento.app.yaml").write_text(dedent(text) + dedent(more))
    (directory / "pub").mkdir(exist_ok=True)
    (directory / "pub" / "index.php").write_text("<?php echo 1;\n")
    for name, content in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory


def read(directory: Path) -> Application:
    """The only application of a project."""
    project = check(directory)
    assert not project.errors, project.errors
    return project.applications[0]


def application(directory: Path, more: str = "", text: str = PLAIN) -> Application:
    """An application of a file."""
    return read(write_project(directory, text, more))
