# SPDX-License-Identifier: GPL-3.0-or-later
"""``.trivet.yaml``: what Trivet alone wants to know."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.project.test_check import FILES, run, write
from trivet.project import check
from trivet.project.own import Own


def said(folder: Path, text: str) -> Path:
    return write(folder, {**FILES, ".trivet.yaml": f"applications:\n  shop:\n{text}"})


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert check(write(tmp_path, FILES)).own("shop") == Own("/health_check.php", ("/",), "auto")


def test_every_key_is_taken(tmp_path: Path) -> None:
    text = "    health_page: /up\n    warm_up: [/, /a]\n    hold: php bin/needs-hold --quiet\n"
    project = check(said(tmp_path, text))
    assert (project.errors, project.warnings) == ((), ())
    own = project.own("shop")
    assert (own.health_page, own.warm_up) == ("/up", ("/", "/a"))
    assert own.hold_command == "php bin/needs-hold --quiet" and Own(hold="never").hold_command is None
    assert project.to_dict()["applications"][0]["own"]["hold"] == "php bin/needs-hold --quiet"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("    health_page: up\n", "health_page", "begins with a slash"),
        ("    warm_up: [up]\n", "warm_up", "begins with a slash"),
        ("    hold: allways\n", "hold", "did you mean `always`?"),
        ('    hold: "php \'x"\n', "hold", "cannot be read as a command"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, key: str, message: str) -> None:
    (error,) = check(said(tmp_path, text)).errors
    assert (error.file, error.line, error.key) == (".trivet.yaml", 3, f"applications.shop.{key}")
    assert message in error.message


def test_an_application_that_is_not_there_and_a_key_that_nobody_reads(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, ".trivet.yaml": "applications:\n  shopp: {}\n  shop: {warmup: [/]}\n"})
    project = check(tmp_path)
    assert "did you mean `shop`?" in project.errors[0].message
    assert "did you mean `warm_up`?" in project.warnings[0].message


def test_the_command_tells_what_holds(tmp_path: Path) -> None:
    code, output = run(str(said(tmp_path, "    health_page: /up\n    hold: never\n")))
    told = " ".join(output.split())
    assert code == 0 and "health page /up" in told and "hold never" in told
