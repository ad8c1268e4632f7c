# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP-FPM itself takes the configuration of a release, and PHP its settings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.templates.daemons import Daemons
from tests.templates.test_application_nginx import SETS, Site, project
from trivet.runtime.php import LOGS, ini, pool

SIZES = "pm = static\npm.max_children = 4\nrequest_slowlog_timeout = 10s\n"


@pytest.fixture
def site(daemons: Daemons) -> Iterator[Site]:
    made = Site(daemons.root)
    made.write("app/index.php")
    (daemons.root / LOGS.lstrip("/")).mkdir(parents=True, exist_ok=True)
    yield made
    shutil.rmtree(made.outside)


def run(site: Site, *command: str) -> subprocess.CompletedProcess[str]:
    words = ["chroot", str(site.root), *command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["01-shop-2.4", "04-platform-names", "06-windows-editor"])
def test_php_fpm_accepts_the_pool(site: Site, name: str) -> None:
    (application,) = project(name).applications
    (site.outside / "sizes.conf").write_text(SIZES, encoding="utf-8")
    (site.outside / "master.conf").write_text("process_control_timeout = 7s\n", encoding="utf-8")
    files = {"master_file": f"{site.base}/master.conf", "pool_file": f"{site.base}/sizes.conf"}
    text = pool(application, site.places, user="www-data", **files)
    # The code is at /app in the release's own namespace, which this test does not make.
    text = text.replace("chdir = /app", f"chdir = {site.base}/app")
    (site.outside / "fpm.conf").write_text(text, encoding="utf-8")
    result = run(site, "php-fpm8.2", "-t", "-y", f"{site.base}/fpm.conf")
    assert result.returncode == 0 and "test is successful" in result.stderr, result.stderr


@pytest.mark.parametrize("name", ["01-shop-2.4", "06-windows-editor"])
def test_php_reads_the_settings(site: Site, name: str) -> None:
    (application,) = project(name).applications
    written = (SETS / name / "php.ini").read_bytes().decode()
    made = ini(application, written, {"memory_limit": "3G", "user_agent": 'a "b" \\c'})
    made = made.replace("auto_prepend_file = /app/magento-vars.php", "")
    (site.outside / "php.ini").write_bytes(made.encode())
    asked = "echo ini_get('memory_limit'), '|', ini_get('user_agent'), '|', ini_get('max_input_vars');"
    result = run(site, "/usr/bin/php8.2", "-n", "-c", f"{site.base}/php.ini", "-r", asked)
    wanted = "10000" if name == "01-shop-2.4" else "1000"
    assert result.stdout.splitlines()[-1] == f'3G|a "b" \\c|{wanted}', result.stdout + result.stderr
