# SPDX-License-Identifier: GPL-3.0-or-later
"""What is entered of an application on a node: its databases, logs, and when its crons are due."""

from __future__ import annotations

import base64
import configparser
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.application.test_instance import GIVEN
from trivet.node.errors import AgentError
from trivet.services.application import logs, shell
from trivet.services.application.crons import next_due
from trivet.services.application.instance import Mount
from trivet.services.application.schedule import Cron

DATABASE = {
    "scheme": "mysql",
    "host": "127.0.0.1",
    "port": 3306,
    "username": "app",
    "password": 'p"w\\d',
    "path": "app",
}
ENDPOINTS = {"database": [DATABASE], "redis": [{"scheme": "redis", "password": "x"}]}
RELATED = replace(
    GIVEN, environment={"MAGENTO_CLOUD_RELATIONSHIPS": base64.b64encode(json.dumps(ENDPOINTS).encode()).decode()}
)


def test_a_database_is_found_by_its_relationship_alone() -> None:
    known = shell.relationships(RELATED)
    assert shell.database_of(known, "database") == DATABASE
    for name in ("redis", "other"):
        with pytest.raises(AgentError, match=f"no database '{name}'; it has database"):
            shell.database_of(known, name)
    with pytest.raises(AgentError, match="it has none"):
        shell.database_of(shell.relationships(GIVEN), "database")


def test_a_client_gets_the_password_as_it_is() -> None:
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(shell.client_options(DATABASE))
    quoted = read["client"]["password"]
    # MariaDB takes the quotes off, and a backslash before a character.
    assert json.loads(quoted) == DATABASE["password"]


def test_logs_of_the_application_are_those_in_its_mounts(tmp_path: Path) -> None:
    (tmp_path / "var" / "log").mkdir(parents=True)
    (tmp_path / "var" / "log" / "system.log").touch()
    (tmp_path / "var" / "log" / "report.txt").touch()
    mounts = (Mount(f"{tmp_path}/var", "/app/var", shared=True), Mount(f"{tmp_path}/other", "/app/other", shared=True))
    own = logs.own_files(replace(GIVEN, mounts=mounts))
    assert own == {"system.log": tmp_path / "var" / "log" / "system.log"}
    assert logs.reader("system.log", own, 5, follow=False) == ["tail", "--lines=5", str(own["system.log"])]
    assert "--follow=name" in logs.reader("access", own, 5, follow=True)
    with pytest.raises(AgentError, match=r"no log '\.\./x' here; there are .*, system\.log"):
        logs.reader("../x", own, 5, follow=False)


def test_the_next_time_of_a_cron_is_the_first_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)
    every = {"day": tuple(range(1, 32)), "month": tuple(range(1, 13)), "weekday": tuple(range(7))}
    times = ((30,), (4,), every["day"], every["month"], every["weekday"])
    cron = Cron("nightly", "true", times, any_day=False, timeout_seconds=1, shutdown_seconds=1)
    midnight = 1_798_761_600 // 60
    assert next_due(cron, midnight) == (midnight + 4 * 60 + 30) * 60
    assert next_due(cron, midnight + 4 * 60 + 30) == (midnight + 28 * 60 + 30) * 60
    never = replace(cron, times=((30,), (4,), (31,), (2,), every["weekday"]))
    assert next_due(never, midnight) is None
