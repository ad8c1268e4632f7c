# SPDX-License-Identifier: GPL-3.0-or-later
"""The product: all three nodes become larger under load, and no request fails."""

from __future__ import annotations

import json
from pathlib import Path

from testinfra.host import Host

from trivet.api import Environment, measured
from trivet.lab import Lab, LabState
from trivet.run.directories import reports_directory, state_directory

LEAST_REQUESTS = 5000
RATE = 35.0


def test_upscale_under_load(lab: LabState, tmp_path: Path) -> None:
    environment = Environment.load(lab.name)
    report, rotation = measured(
        environment.description, RATE, lambda listener: environment.upscale("12", listener=listener), listener=print
    )
    (state_directory() / lab.name / "rotation-report.json").write_text(json.dumps(report.to_json()))
    assert report.total.failures == 0, report.failures
    assert report.total.requests >= LEAST_REQUESTS
    assert report.orders.acknowledged > 0
    assert report.orders.found == report.orders.acknowledged
    assert report.orders.verified
    assert sorted({time.node for time in rotation.times}) == sorted(node.name for node in lab.nodes)
    target = LabState.load(lab.name).node_size("12")
    assert {(node.cpus, node.memory_mib) for node in Lab(lab.name).status().nodes} == {(target.cpus, target.memory_mib)}
    assert [line["kind"] for line in rotation.lines][-2:] == ["snapshot", "done"]
    # An earlier lab of this name may have left reports of its own.
    newest = max(reports_directory(lab.name).glob("*-resize.json"), key=lambda path: path.stat().st_mtime)
    shown = json.loads(newest.read_text())
    assert shown["ok"] is True, shown


def test_nothing_of_their_start_is_left_on_the_search_engines(nodes: list[Host], lab: LabState) -> None:
    for node in nodes:
        # Each began its start with a low priority.
        started = node.check_output("systemctl show --property MainPID --value opensearch")
        threads = node.check_output(f"ps -L -o ni= -p {started}").split()
        assert set(threads) == {"0"}
        assert not node.file("/run/systemd/system/opensearch.service.d/trivet-begun.conf").exists
    # The index of the gates' own searches.
    indices = nodes[0].check_output(
        f"curl -sf 'http://{lab.nodes[0].address}:9200/_cat/indices?h=index&expand_wildcards=all'"
    )
    assert indices.split() and "trivet-warm" not in indices
