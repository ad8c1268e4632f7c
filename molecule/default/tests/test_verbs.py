# SPDX-License-Identifier: GPL-3.0-or-later
"""What a developer does with an application that serves: its shell, database, mounts, crons, logs and variables."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from trivet.lab import LabState
from trivet.paths import shop_directory

SECONDS = 300


class Command:
    """Calls ``trivet VERB… LAB …`` as a user does."""

    def __init__(self, lab: LabState) -> None:
        self._lab = lab.name

    def __call__(self, verb: str, *words: str, given: str = "", code: int = 0) -> str:
        done = subprocess.run(
            ["trivet", *verb.split(), self._lab, *words], input=given, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def trivet(lab: LabState) -> Command:
    command = Command(lab)
    command("deploy", str(shop_directory()), "--yes")
    return command


def test_a_command_runs_as_the_application_does(trivet: Command) -> None:
    assert trivet("ssh", "--", "sh", "-c", "whoami; pwd; cat", given="piped in\n") == "store\n/app\npiped in\n"
    assert "Read-only" in trivet("ssh", "--", "touch", "/app/src/new", code=1)
    trivet("ssh", "--", "sh", "-c", "exit 7", code=7)


def test_the_command_line_of_php_has_the_settings_of_the_environment(trivet: Command) -> None:
    trivet("variable set", "php:memory_limit", "777M")
    trivet("variable set", "env:GREETING", "two words")
    trivet("variable set", "env:TOKEN", "--sensitive", given="not for the log")
    listed = {item["name"]: item["value"] for item in json.loads(trivet("variable list", "--json"))}
    assert listed == {"php:memory_limit": "777M", "env:GREETING": "two words", "env:TOKEN": None}
    assert "is sensitive" in trivet("variable get", "env:TOKEN", code=2)
    assert "not for the log" not in trivet("redeploy", "--yes")
    question = 'echo ini_get("memory_limit"), getenv("GREETING"), getenv("TOKEN");'
    assert trivet("ssh", "--", "php", "-r", question) == "777Mtwo wordsnot for the log"
    trivet("variable delete", "env:TOKEN")
    trivet("redeploy", "--yes")
    assert trivet("ssh", "--", "php", "-r", question) == "777Mtwo words"


def test_the_database_is_the_applications_alone(trivet: Command, tmp_path: Path) -> None:
    assert trivet("db sql", "SELECT DATABASE(), CURRENT_USER()").splitlines()[1] == "store\tapp_store_mysql_mysql@%"
    assert trivet("db sql", given="SELECT 1 + 1 AS two").split() == ["two", "2"]
    assert "denied" in trivet("db sql", "SELECT * FROM mysql.global_priv", code=1)
    assert "it has database, database-slave" in trivet("db sql", "--relationship", "none", code=2)
    dump = tmp_path / "shop.sql.gz"
    trivet("db dump", "--file", str(dump))
    text = gzip.decompress(dump.read_bytes()).decode()
    assert "CREATE TABLE `store_product`" in text and text.rstrip().splitlines()[-1].startswith("-- Dump completed")
    assert dump.stat().st_mode & 0o077 == 0
    assert "is there already" in trivet("db dump", "--file", str(dump), code=2)


def test_files_go_into_a_mount_and_come_back(trivet: Command, tmp_path: Path) -> None:
    source = tmp_path / "up" / "wysiwyg"
    source.mkdir(parents=True)
    (source / "a b.txt").write_text("from here\n")
    trivet("mount upload", "pub/media", str(tmp_path / "up"))
    assert trivet("ssh", "--", "stat", "--format", "%U", "pub/media/wysiwyg/a b.txt") == "store\n"
    trivet("mount download", "pub/media", str(tmp_path / "down"), "--exclude", "catalog")
    assert (tmp_path / "down" / "wysiwyg" / "a b.txt").read_text() == "from here\n"
    assert not (tmp_path / "down" / "catalog").exists()
    assert "it has app/etc, log, pub/media" in trivet("mount upload", "src", str(tmp_path), code=2)


def test_a_cron_runs_now_and_its_log_is_read(trivet: Command) -> None:
    assert [item["name"] for item in json.loads(trivet("cron list", "--json"))["crons"]] == ["heartbeat"]
    before = int(trivet("db sql", "SELECT COUNT(*) FROM store_cron_run").split()[-1])
    trivet("cron run", "heartbeat")
    assert int(trivet("db sql", "SELECT COUNT(*) FROM store_cron_run").split()[-1]) > before
    assert "it has heartbeat" in trivet("cron run", "none", code=2)


def test_logs_are_listed_and_read(trivet: Command) -> None:
    assert trivet("logs").split()[:5] == ["access", "error", "php", "cron", "worker"]
    lines = [json.loads(line) for line in trivet("logs", "php", "--lines", "500", "--json").splitlines()]
    assert any("ready to handle connections" in line["text"] for line in lines)
    assert "has no log nothing.log" in trivet("logs", "nothing.log", code=2)
