# SPDX-License-Identifier: GPL-3.0-or-later
"""`trivet build` refuses what it cannot build before anything is made, and tells programs what it told people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.build.applications import write_project
from trivet.api import Release
from trivet.api.builds import application_named
from trivet.cli import build as command
from trivet.cli.main import app
from trivet.errors import InputError
from trivet.project import check


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--variable", "A"], "--variable A: write NAME=VALUE"),
        (["--variable", "=1"], "--variable =1: write NAME=VALUE"),
        (["--secret", "env:NOWHERE"], "--secret env:NOWHERE: this command has no environment variable"),
        (["--project", "../x"], "'../x' cannot name a project"),
        (["--application", "other"], "the project has no application 'other'; it has shop"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["build", str(write_project(tmp_path / "project")), *options])
    assert isinstance(result.exception, InputError) and said in result.exception.message


def test_a_project_with_errors_is_not_built(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "name: shop\ntype: nonsense\n")
    result = CliRunner().invoke(app, ["build", str(project)])
    assert result.exit_code == 2 and "rejected: 1 error; nothing was changed" in result.stdout
    result = CliRunner().invoke(app, ["build", str(project), "--json"])
    assert result.exit_code == 2 and json.loads(result.stdout)["ok"] is False


def test_of_several_applications_one_is_named(tmp_path: Path) -> None:
    write_project(tmp_path / "project")
    write_project(tmp_path / "project" / "front", "name: front\ntype: nodejs:18\n")
    applications = check(tmp_path / "project").applications
    assert application_named(applications, "front").name == "front"
    with pytest.raises(InputError, match="several applications: front, shop; name one with --application"):
        application_named(sorted(applications, key=lambda one: one.name), None)


def test_programs_get_the_log_and_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def built(project: object, tree: object, **more: Any) -> Release:
        given.update(more)
        more["output"]("Building [application]")
        manifest = {"release": "shop-1", "files": 3}
        return Release("shop-1", "shop", "t", None, tmp_path, manifest, tmp_path / "a", "0", 7)

    monkeypatch.setattr(command, "build_release", built)
    monkeypatch.setenv("KEY", "value")
    arguments = ["build", str(write_project(tmp_path / "p")), "--secret", "env:KEY", "--variable", "A=b=c"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    first, last = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["event"], first["text"]) == ("log", "Building [application]")
    assert last == {"release": "shop-1", "files": 3, "directory": str(tmp_path)}
    assert given["settings"].secrets == {"env:KEY": "value"} and given["settings"].variables == {"A": "b=c"}
    result = CliRunner().invoke(app, arguments)
    assert "Building [application]" in result.stderr and "release shop-1: 3 files" in result.stdout
