# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop goes live as a release under load, with and without a change of the schema; broken ones; the way back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from trivet.ansible import load_environment
from trivet.api import measured
from trivet.api.deploy import PATIENCE_SECONDS, DeployReport, Deploys, Source, ready
from trivet.errors import TrivetError
from trivet.lab import LabState
from trivet.model import Environment
from trivet.paths import shop_directory
from trivet.run.directories import state_directory

RATE = 35.0
LONGEST_MS = 2000.0
"""Of one request where nobody is held. How much slower the others are is a figure (docs/performance.md) and no test."""
SCHEMA = "        4 => 'CREATE INDEX"
NEXT_STEP = "        6 => 'ALTER TABLE store_order ADD COLUMN IF NOT EXISTS note VARCHAR(32) NULL',\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's project, to be changed from release to release."""
    return Path(shutil.copytree(shop_directory(), tmp_path_factory.mktemp("project") / "shop"))


@pytest.fixture
def environment(lab: LabState) -> Environment:
    return load_environment(lab.name)


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, path
    path.write_text(text.replace(before, after), encoding="utf-8")


def deploy(environment: Environment, shop: Path, listener: Callable[[Any], None] = print) -> DeployReport:
    with Deploys(environment, listener) as deploys, ready(environment, deploys, Source(shop), print) as made:
        return deploys.apply(made.plan, made.composed, made.release)


def serving(nodes: list[Host]) -> set[str]:
    return {node.check_output("readlink /etc/trivet/application/current") for node in nodes}


def answered(nodes: list[Host]) -> set[str]:
    """The releases that the nodes' pages say they are made of."""
    page = "curl -sf -H 'Host: shop.example' http://127.0.0.1:8080/ | grep -o 'release: [0-9a-f]*' | sort -u"
    return {node.check_output(page) for node in nodes}


def leaves_nothing(nodes: list[Host]) -> None:
    """No candidate, no hook, no flag, no lease, no pause of the crons, nothing half-mounted."""
    for node in nodes:
        assert json.loads(node.check_output("trivet-agent flags list"))["flags"] == []
        assert json.loads(node.check_output("trivet-agent cron list"))["paused"] is None
        assert not node.file("/etc/nginx/trivet/candidate.conf").exists
        units = node.check_output("systemctl list-units --plain --no-legend 'trivet-app@*' 'trivet-hook-*'")
        assert len(units.splitlines()) == 1, units
        workers = node.check_output("systemctl list-units --plain --no-legend 'trivet-worker@*'")
        assert len(workers.splitlines()) == 1, workers


def under_load(environment: Environment, shop: Path, name: str) -> tuple[Any, DeployReport]:
    report, done = measured(
        environment,
        RATE,
        lambda heard: deploy(environment, shop, heard),
        patience=PATIENCE_SECONDS,
        listener=print,
    )
    folder = state_directory() / environment.label
    (folder / f"deploy-{name}-report.json").write_text(json.dumps(report.to_json()))
    assert report.total.failures == 0, report.failures
    assert report.orders.verified
    assert report.orders.found == report.orders.acknowledged > 0
    return report, done


def test_the_first_release_takes_over_under_load(environment: Environment, shop: Path, nodes: list[Host]) -> None:
    """From the inventory's own pool, whose schema it brings up to date."""
    _, done = under_load(environment, shop, "first")
    assert serving(nodes) == {done.plan.instance}
    assert len(answered(nodes)) == 1
    for node in nodes:
        assert not node.service("php8.2-fpm").is_running
    leaves_nothing(nodes)


def test_a_release_without_a_schema_change_holds_nobody(
    environment: Environment, shop: Path, nodes: list[Host]
) -> None:
    page = shop / "templates" / "home.phtml"
    page.write_text(page.read_text(encoding="utf-8") + "<!-- second -->\n", encoding="utf-8")
    before = answered(nodes)
    report, done = under_load(environment, shop, "plain")
    assert done.held_seconds is None
    assert serving(nodes) == {done.plan.instance}
    assert len(answered(nodes)) == 1 and answered(nodes) != before
    assert report.phases["during"].latency_ms.maximum <= LONGEST_MS
    leaves_nothing(nodes)


def test_one_with_a_schema_change_holds_and_loses_nobody(
    environment: Environment, shop: Path, nodes: list[Host]
) -> None:
    edit(shop / "src" / "Setup" / "Schema.php", SCHEMA, NEXT_STEP + SCHEMA)
    report, done = under_load(environment, shop, "schema")
    assert done.held_seconds is not None
    longest = max(phase.latency_ms.maximum for phase in report.phases.values()) / 1000
    assert longest <= done.held_seconds + 2.0
    columns = nodes[0].check_output("mariadb -N -e 'SHOW COLUMNS FROM store.store_order LIKE \"note\"'")
    assert columns.startswith("note")
    leaves_nothing(nodes)


@pytest.mark.parametrize(
    ("file", "before", "after", "words"),
    [
        (".magento.app.yaml", "php bin/store deploy", "exit 3", "deploy hook failed with status code 3"),
        (".magento.app.yaml", "php bin/store build", "exit 4", "build hook failed with status code 4"),
        (".magento.app.yaml", "type: php:8.2", "type: php:8.9", "php:8.9"),
        (".magento.app.yaml", '"mysql:mysql"', '"mysqll:mysql"', "Invalid configuration files"),
        (".magento.app.yaml", '"shared:files/var"', '"shared:files/other"', "would stay behind unused"),
        ("pub/health_check.php", "declare(strict_types=1);", "http_response_code(500); exit;", "/health_check.php"),
    ],
)
def test_a_broken_release_leaves_the_shop_as_it_was(
    environment: Environment, shop: Path, nodes: list[Host], tmp_path: Path,
    file: str, before: str, after: str, words: str,
) -> None:  # fmt: skip
    was = serving(nodes)
    broken = Path(shutil.copytree(shop, tmp_path / "broken"))
    edit(broken / file, before, after)
    with pytest.raises(TrivetError, match=words):
        deploy(environment, broken)
    assert serving(nodes) == was
    leaves_nothing(nodes)


def test_the_way_back_under_load(environment: Environment, nodes: list[Host]) -> None:
    was = serving(nodes)

    def work(heard: Callable[[Any], None]) -> DeployReport:
        with Deploys(environment, heard) as deploys:
            return deploys.rollback()

    report, done = measured(environment, RATE, work, listener=print)
    assert report.total.failures == 0, report.failures
    assert report.orders.found == report.orders.acknowledged > 0
    assert serving(nodes) == {done.plan.instance} != was
    leaves_nothing(nodes)


def test_a_failed_post_deploy_hook_is_told_and_the_release_is_live(
    environment: Environment, shop: Path, nodes: list[Host], tmp_path: Path
) -> None:
    was = serving(nodes)
    broken = Path(shutil.copytree(shop, tmp_path / "broken"))
    edit(broken / ".magento.app.yaml", "php bin/store index:ensure", "exit 5")
    with pytest.raises(TrivetError, match="post_deploy hook failed with status code 5"):
        deploy(environment, broken)
    assert len(serving(nodes)) == 1 and serving(nodes) != was
    leaves_nothing(nodes)
