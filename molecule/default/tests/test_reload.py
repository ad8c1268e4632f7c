# SPDX-License-Identifier: GPL-3.0-or-later
"""A converge that fails after it wrote a configuration: no reload is lost, and the verdict tells of it meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from trivet.lab import LabState

MOLECULE = Path(__file__).parents[2]
CONFIGURATIONS = {"haproxy": "/etc/haproxy/haproxy.cfg", "keepalived": "/etc/keepalived/keepalived.conf"}
MARKS = "/etc/trivet/pending-reload"


@pytest.fixture
def node(nodes: list[Host]) -> Iterator[Host]:
    """A node whose HAProxy and keepalived refuse to reload, and run with files that somebody has changed by hand."""
    node = nodes[0]
    for unit, path in CONFIGURATIONS.items():
        folder = f"/run/systemd/system/{unit}.service.d"
        node.check_output(f"echo '# by hand' >>{path} && systemctl reload {unit}")
        node.check_output(
            f"mkdir -p {folder} && printf '[Service]\\nExecReload=\\nExecReload=/bin/false\\n' >{folder}/zz-test.conf"
        )
    node.check_output("systemctl daemon-reload")
    yield node
    allow(node)


def allow(node: Host) -> None:
    """Let the units reload again."""
    for unit in CONFIGURATIONS:
        node.check_output(f"rm -f /run/systemd/system/{unit}.service.d/zz-test.conf")
    node.check_output("systemctl daemon-reload")


def notes(lab: LabState) -> dict[str, str | None]:
    """What the verdict says of what waits for a reload, with the next command."""
    result = subprocess.run(["trivet", "status", lab.name, "--json"], capture_output=True, text=True, timeout=90)
    findings = json.loads(result.stdout)["findings"]
    waiting = [item for item in findings if "waits for a reload since" in item["reason"]]
    return {item["reason"].split()[0]: item["next_command"] for item in waiting}


def taken(node: Host) -> tuple[str, str]:
    """What changes with a reload: HAProxy's workers, and how often keepalived has read its file."""
    # `show proc` is the master's own; a worker is a child of it.
    workers = node.check_output(
        "pgrep --parent $(systemctl show --property MainPID --value haproxy) | sort | tr '\\n' ' '"
    )
    read = node.check_output("journalctl --unit keepalived --boot --output cat | grep --count --ignore-case 'reload'")
    return workers, read


def test_a_converge_that_failed_half_way_has_its_reloads_done_by_the_next(lab: LabState, node: Host) -> None:
    inventory = MOLECULE / "default" / "inventory"
    playbook = MOLECULE / "shared" / "half_converge.yml"
    half = subprocess.run(["ansible-playbook", "-i", inventory, playbook], capture_output=True, text=True, timeout=300)
    assert half.returncode != 0, half.stdout
    for unit, path in CONFIGURATIONS.items():
        assert not node.file(path).contains("by hand"), "the file was written"
        assert node.file(f"{MARKS}/{unit}").exists
    command = f"trivet converge {lab.name}"
    assert notes(lab) == {"haproxy": command, "keepalived": command}
    allow(node)
    before = taken(node)
    subprocess.run(["trivet", "converge", lab.name], check=True, timeout=600)
    workers, read = taken(node)
    assert not set(workers.split()) & set(before[0].split())
    assert int(read) > int(before[1])
    assert notes(lab) == {}
    assert node.check_output(f"ls {MARKS}") == ""
