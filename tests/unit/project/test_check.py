# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check refuses, and what its command prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from trivet.cli.main import app
from trivet.project import check, cron

APPLICATION = """name: shop
type: php:8.2
relationships:
  database: mysql:mysql
disk: 512
crons:
  c: {spec: '* * * * *', cmd: run}
"""
SERVICES = "mysql:\n  type: mysql:10.6\n  disk: 512\n"
ROUTES = "'https://{default}/': {type: upstream, upstream: 'shop:http'}\n"
FILES = {".magento.app.yaml": APPLICATION, ".magento/services.yaml": SERVICES, ".magento/routes.yaml": ROUTES}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def errors(folder: Path, **changed: str) -> list[str]:
    names = {"app": ".magento.app.yaml", "services": ".magento/services.yaml", "routes": ".magento/routes.yaml"}
    names["env"] = ".magento.env.yaml"
    project = check(write(folder, {**FILES, **{names[key]: text for key, text in changed.items()}}))
    return [f"{item.key}: {item.message}" for item in project.errors]


def test_a_small_project_is_accepted(tmp_path: Path) -> None:
    assert errors(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"app": APPLICATION + "mounts:\n  var: {source: lokal}\n"}, "did you mean `local`?"),
        ({"app": APPLICATION + "mounts:\n  /: shared:files/x\n"}, "leads out of it"),
        ({"app": APPLICATION + "mounts:\n  a: shared:files/a\n  a/b: {source: local}\n"}, "inside the mount `a`"),
        ({"app": APPLICATION + "mounts:\n  a: {source: local, source_path: ../../etc}\n"}, "out of the source"),
        ({"app": APPLICATION + "mounts:\n  a: shared:files/../../etc\n"}, "out of the source"),
        ({"app": APPLICATION + "web:\n  locations:\n    /: {root: pub/../../etc}\n"}, "out of the application"),
        ({"app": APPLICATION + "web:\n  locations:\n    /: {passthru: /a/$x}\n"}, "`$x` is no group"),
        (
            {"app": APPLICATION + "web:\n  locations:\n    /: {rules: {'^/(?<a>.)(.)': {passthru: '/$a$2$3'}}}\n"},
            "`$3` is no group",
        ),
        ({"app": APPLICATION + "web:\n  locations:\n    /: {headers: {X-A: a$b}}\n"}, "may not have a `$`"),
        ({"app": APPLICATION.replace("* * * * *", "61 * * * *")}, "`61` is no minute"),
        ({"app": APPLICATION.replace(", cmd: run", "")}, "`cmd` (or `commands.start`) is missing"),
        ({"app": APPLICATION.replace("name: shop\n", "")}, "`name` is missing"),
        ({"app": APPLICATION.replace("php:8.2", "java:17")}, "not served here"),
        ({"app": APPLICATION.replace("disk: 512", "disk: lots")}, "must be a whole number, not `lots`"),
        ({"app": APPLICATION + "web:\n  locations:\n    media: {}\n"}, "begins with a slash"),
        ({"app": APPLICATION + "web:\n  locations:\n    /: {expires: 3 weeks}\n"}, "no duration"),
        ({"app": APPLICATION + "workers:\n  queue: {}\n"}, "`commands.start` is missing"),
        ({"services": "mysql:\n  type: mysqk:10.6\n"}, "did you mean `mysql`?"),
        ({"services": SERVICES + "  configuration:\n    properties: {max_allowed_packet: 500}\n"}, "between 1 and 100"),
        ({"services": SERVICES + "  configuration:\n    endpoints: {mysql: {privileges: {main: all}}}\n"}, "no right"),
        ({"services": "mysql:\n  disk: 512\n"}, "`type` is missing"),
        ({"routes": "'{default}/': {type: upstream}\n"}, "begins with http:// or https://"),
        ({"routes": ROUTES.replace("shop:http", "shopp:http")}, "did you mean `shop`?"),
        ({"routes": "'https://{default}/': {type: redirect, to: 'https://a.example/'}\n"}, "every route is a redirect"),
        ({"routes": ROUTES + "'https://x.{default}/': {type: redirect}\n"}, "needs `to`"),
        (
            {"routes": ROUTES.replace("'}", "', redirects: {paths: {/a: {to: '/b$1'}}}}")},
            "`$1` is no group of the path's expression",
        ),
        ({"env": "stage:\n  deploy:\n    SCD_STRATEGI: quick\n"}, "did you mean `SCD_STRATEGY`?"),
        (
            {"env": "stage:\n  build:\n    UPDATE_URLS: true\n"},
            "Move it to one of the possible stages: global, deploy.",
        ),
        ({"env": "stage:\n  build:\n    SCD_COMPRESSION_LEVEL: 11\n"}, "Use a value from 0 to 9."),
    ],
)
def test_a_mistake_is_one_error(tmp_path: Path, changed: dict[str, str], wanted: str) -> None:
    found = errors(tmp_path, **changed)
    assert len(found) == 1 and wanted in found[0]


def test_a_redirect_that_comes_back_is_a_loop(tmp_path: Path) -> None:
    looping = (
        "'https://{default}/':\n  type: upstream\n  upstream: 'shop:http'\n  redirects:\n    paths:\n"
        "      /sale: {to: 'https://sale.example.com/'}\n"
        "'https://sale.example.com/': {type: redirect, to: 'https://{default}/sale/now'}\n"
    )
    found = errors(tmp_path, routes=looping)
    assert len(found) == 1 and found[0].endswith("a loop")


def test_a_folder_without_an_application_is_refused(tmp_path: Path) -> None:
    assert "no application file" in check(tmp_path).errors[0].message


def test_two_applications_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "other/.magento.app.yaml": "name: shop\ntype: php:8.2\n"})
    assert "name of the application in .magento.app.yaml" in check(tmp_path).errors[0].message


def test_the_repositories_of_others_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "vendor/x/y/.magento.app.yaml": "name: [", ".magento/local/project.yaml": "\t"})
    assert check(tmp_path).ok


def test_unknown_keys_warn_and_unserved_ones_are_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        {**FILES, ".magento.app.yaml": APPLICATION + "realtionships: {}\npreflight: {enabled: false}\n.common: 1\n"},
    )
    messages = {item.key: item.message for item in check(tmp_path).warnings}
    assert "did you mean `relationships`?" in messages["realtionships"]
    assert "not served here" in messages["preflight"] and len(messages) == 2


@pytest.mark.parametrize(
    "spec", ["* * * * *", "*/5 * * * *", "0/5 * * * *", "1,15 7-16 * * Sat", "H 3 * jan-mar 1-5/2"]
)
def test_specifications_of_real_shops_are_taken(spec: str) -> None:
    assert cron.problem(spec) is None


@pytest.mark.parametrize("spec", ["", "* * * *", "* * * * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "@daily"])
def test_specifications_that_never_run_are_refused(spec: str) -> None:
    assert cron.problem(spec) is not None


@given(st.dictionaries(st.sampled_from(sorted(FILES)), st.text(alphabet="nametype:php8 -[]{}'\"\n*&", max_size=60)))
def test_whatever_the_files_say_a_check_ends(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> None:
    # must not raise
    check(write(tmp_path_factory.mktemp("project"), {**FILES, **files}))


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["project", "check", *words])
    return result.exit_code, result.output


def test_the_command_prints_the_verdict_last(tmp_path: Path) -> None:
    code, output = run(str(write(tmp_path, FILES)))
    assert code == 0 and output.strip().endswith("accepted") and "mysql:10.6" in output
    write(tmp_path, {".magento.app.yaml": APPLICATION.replace("512", "64")})
    code, output = run(str(tmp_path))
    assert code == 2 and "error: .magento.app.yaml:5: disk: 64 is below" in output
    assert "rejected: 1 error; nothing was changed" in output


def test_the_command_s_json_has_the_promised_keys(tmp_path: Path) -> None:
    code, output = run(str(write(tmp_path, FILES)), "--json", "--domain", "shop.example")
    data: dict[str, Any] = json.loads(output)
    assert code == 0 and data["ok"] is True
    assert set(data) == {"ok", "errors", "warnings", "notes", "applications", "services", "routes"}
    assert {route["url"] for route in data["routes"]} == {"http://shop.example/", "https://shop.example/"}
