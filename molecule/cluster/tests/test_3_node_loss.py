# SPDX-License-Identifier: GPL-3.0-or-later
"""A node loses its power: the shop goes on, status says which and why, and the node comes back by itself."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import urllib.error
import urllib.request

from testinfra.host import Host

from trivet.lab import LabState

BACK_SECONDS = 180
WRITTEN_MEANWHILE = (
    "CREATE OR REPLACE DATABASE missed; CREATE TABLE missed.row_ (id INT AUTO_INCREMENT PRIMARY KEY); "
    "INSERT INTO missed.row_ VALUES (); INSERT INTO missed.row_ VALUES ()"
)


def status(lab: LabState) -> tuple[int, dict[str, object]]:
    result = subprocess.run(["trivet", "status", lab.name, "--json"], capture_output=True, text=True, timeout=90)
    return result.returncode, json.loads(result.stdout)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"http://{address}/", timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_until(done, seconds: float) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(1)
    return False


def test_a_lost_node_is_missed_by_nobody_and_rejoins_by_ist(nodes: list[Host], lab: LabState) -> None:
    lost = lab.nodes[1]
    subprocess.run(["incus", "stop", "--force", lost.name], check=True, timeout=60)
    try:
        assert wait_until(lambda: all(answers(address) for address in lab.gateways), 15)
        # A second look after the failover, on all three addresses.
        assert all(answers(address) for address in lab.gateways)
        # Something to catch up with: without it a member rejoins by no transfer at all.
        nodes[0].check_output(f"mariadb -e {shlex.quote(WRITTEN_MEANWHILE)}")
        code, verdict = status(lab)
        assert code == 2
        assert lost.name in json.dumps(verdict["findings"])
        refused = subprocess.run(
            ["trivet", "upscale", lab.name, "--size", "12", "--yes"], capture_output=True, text=True, timeout=120
        )
        assert refused.returncode == 2
        assert "is not healthy" in " ".join(refused.stderr.split())
    finally:
        subprocess.run(["incus", "start", lost.name], check=True, timeout=60)
    assert wait_until(lambda: status(lab)[0] == 0, BACK_SECONDS), status(lab)[1]
    assert nodes[1].check_output("mariadb -N -B -e 'SELECT COUNT(*) FROM missed.row_'") == "2"
    nodes[0].check_output("mariadb -e 'DROP DATABASE missed'")
    # MariaDB's own script says which transfer it was; "SST received" is logged in both cases. It says so through a
    # process that may have ended before journald asks for its unit: the whole journal of this start is read.
    journal = nodes[1].check_output("journalctl -b --no-pager")
    assert "mariabackup IST completed on joiner" in journal
    assert "mariabackup SST completed on joiner" not in journal
