# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaWiki goes live, works, and gets new releases under load, with and without a change of its tables.

Nothing in it knows Trivet or Magento. The tests stand on one another, in their order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.failures.commands import healthy, on
from tests.foreign.client import Wiki, picture
from trivet.api import Environment, measured
from trivet.api.deploy import DeployReport, Deploys, Source, ready
from trivet.lab import LabState
from trivet.probe import ProbeReport
from trivet.report.figures import customers
from trivet.results import Kind, leave

RATE = 4.0
"""Requests per second: a page of MediaWiki costs the only core of the node a tenth of a second."""
INDEX_SECONDS = 20.0
JOB_SECONDS = 180.0
HEALTHY_SECONDS = 120.0
NEW_TABLES = ("abuse_filter", "abuse_filter_action", "abuse_filter_history", "abuse_filter_log")
"""Of the extension that the third release brings."""


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, path
    path.write_text(text.replace(before, after), encoding="utf-8")


def deploy(environment: Environment, project: Path, listener: Callable[[Any], None] = print) -> DeployReport:
    described = environment.description
    with Deploys(described, listener) as deploys, ready(described, deploys, Source(project), print) as made:
        return deploys.apply(made.plan, made.composed, made.release)


def back(environment: Environment, listener: Callable[[Any], None]) -> DeployReport:
    with Deploys(environment.description, listener) as deploys:
        return deploys.rollback()


def under_load(
    environment: Environment, what: str, work: Callable[[Callable[[Any], None]], DeployReport]
) -> tuple[ProbeReport, DeployReport]:
    """Change the release with the probe beside it, and lose no request."""
    report, done = measured(environment.description, RATE, work, listener=print)
    leave(Kind.CHANGE, {"what": what, "held_seconds": done.held_seconds, **customers(report)})
    assert report.total.failures == 0, report.failures
    assert report.total.requests > 0
    return report, done


def asked(lab: LabState, query: str) -> str:
    """What the database of the wiki answers."""
    return on(lab.nodes[0].name, f"mariadb --skip-column-names wiki --execute {json.dumps(query)}").strip()


def eventually(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(2)


def test_the_first_deploy_installs_it(environment: Environment, lab: LabState, project: Path, visitor: Wiki) -> None:
    deploy(environment, project)
    assert "MediaWiki has been installed." in visitor.page()
    assert asked(lab, "SELECT ul_value FROM updatelog WHERE ul_key = 'wiki-schema'").startswith("MediaWiki 1.39.")
    engines = "SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = 'wiki'"
    assert asked(lab, engines) == "InnoDB"
    eventually(HEALTHY_SECONDS, lambda: healthy(lab.name))


def test_a_page_is_written_read_and_found(visitor: Wiki) -> None:
    words = f"Written at {time.time()} with an umlaut: ä."
    visitor.edit("A new page", words)
    assert visitor.text("A new page") == words
    assert words in visitor.page("A new page")
    # Its words are in the index once the visitor has had his answer.
    eventually(INDEX_SECONDS, lambda: "A new page" in visitor.found("umlaut"))


def test_a_file_is_brought_and_read(author: Wiki, visitor: Wiki, lab: LabState) -> None:
    content = picture(600, 40 + time.time_ns() % 100)
    name = f"Colours-{time.time_ns()}.png"
    author.upload(name, content)
    whole, smaller = visitor.addresses(name, 200)
    assert visitor.get(whole) == (200, content)
    status, made = visitor.get(smaller)
    assert status == 200 and made.startswith(b"\x89PNG") and made != content
    assert on(lab.nodes[0].name, f"find /srv/shared/images -name {name} -type f").strip()


def test_a_job_is_done_by_the_cron(visitor: Wiki, lab: LabState) -> None:
    """What uses a template gets the template's category by a job, since no visitor's request does jobs."""
    began = int(time.time())
    mark = f"Mark {began}"
    # In this order: of two changes of a template in use, a second apart, MediaWiki may do the first alone.
    visitor.edit(f"Template:{mark}", "Nothing yet.")
    visitor.edit(f"User of {mark}", f"{{{{{mark}}}}}")
    assert visitor.members(mark) == []
    visitor.edit(f"Template:{mark}", f"Marked. [[Category:{mark}]]")
    eventually(JOB_SECONDS, lambda: f"User of {mark}" in visitor.members(mark))
    said = on(lab.nodes[0].name, f"journalctl --output cat --identifier trivet-cron --since @{began}")
    assert "refreshLinks" in said, said


@pytest.mark.parametrize(
    "path",
    [
        "/LocalSettings.php",
        "/autoload.php",
        "/composer.json",
        "/extensions/Cite/extension.json",
        "/health.php/index.php",
        "/images/../LocalSettings.php",
        "/includes/Defines.php",
        "/includes/WebStart.php",
        "/languages/i18n/en.json",
        "/maintenance/runJobs.php",
        "/maintenance/tables.sql",
        "/private/secrets.php",
        "/resources/Resources.php",
        "/vendor/composer/installed.json",
    ],
)
def test_code_is_neither_run_nor_sent(visitor: Wiki, path: str) -> None:
    status, body = visitor.get(path)
    assert status in (403, 404), (path, status, body[:200])


def test_a_script_among_the_files_is_not_run(visitor: Wiki, lab: LabState) -> None:
    """Even one that got past MediaWiki."""
    node = lab.nodes[0].name
    for name in ("attack.php", "attack.PHP", "attack.phtml", "attack.html"):
        on(node, f"echo '<?php echo 6*7;' >/srv/shared/images/{name}")
        for path in (f"/images/{name}", f"/images/{name}/index.php"):
            status, body = visitor.get(path)
            assert status in (403, 404), (path, status, body[:200])
        on(node, f"rm /srv/shared/images/{name}")


def test_a_release_of_the_same_tables_holds_nobody(
    environment: Environment, project: Path, visitor: Wiki, author: Wiki
) -> None:
    assert "Second wiki" not in visitor.page()
    edit(project / "LocalSettings.php", "$wgSitename = 'Wiki';", "$wgSitename = 'Second wiki';")
    _, done = under_load(environment, "release of a wiki", partial(deploy, environment, project))
    assert done.held_seconds is None
    assert "Second wiki" in visitor.page()
    assert author.name() == "Admin"


def test_a_release_with_other_tables_holds_and_loses_nobody(
    environment: Environment, project: Path, lab: LabState, visitor: Wiki, author: Wiki
) -> None:
    tables = (
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'wiki' AND table_name = 'abuse_filter'"
    )
    assert asked(lab, tables) == "0"
    edit(project / "extensions.php", "['Cite',", "['AbuseFilter', 'Cite',")
    report, done = under_load(environment, "release of a wiki with other tables", partial(deploy, environment, project))
    assert done.held_seconds is not None
    longest = max(phase.latency_ms.maximum for phase in report.phases.values()) / 1000
    assert longest <= done.held_seconds + 5.0
    assert asked(lab, tables) == "1"
    assert "AbuseFilter" in asked(lab, "SELECT ul_value FROM updatelog WHERE ul_key = 'wiki-schema'")
    assert "Abuse filter" in visitor.page("Special:AbuseFilter")
    assert author.name() == "Admin"
    eventually(HEALTHY_SECONDS, lambda: healthy(lab.name))


def test_the_way_back_loses_nobody(environment: Environment, lab: LabState, visitor: Wiki, author: Wiki) -> None:
    """The tables stay as they are; the release before does not know the new ones."""
    _, done = under_load(environment, "way back of a wiki", partial(back, environment))
    assert done.held_seconds is None
    assert visitor.get("/wiki/Special:AbuseFilter")[0] == 404
    assert "Second wiki" in visitor.page()
    assert author.name() == "Admin"
    eventually(HEALTHY_SECONDS, lambda: healthy(lab.name))
