# SPDX-License-Identifier: GPL-3.0-or-later
"""The product: all three nodes become larger under load, and no request fails."""

from __future__ import annotations

import json
from pathlib import Path

from trivet.ansible import load_environment
from trivet.api import rotate_under_load
from trivet.lab import Lab, LabState
from trivet.rotation.journal import state_directory

LEAST_REQUESTS = 5000
RATE = 25.0


def test_upscale_under_load(lab: LabState, tmp_path: Path) -> None:
    environment = load_environment(lab.name)
    report, rotation = rotate_under_load(environment, "12", RATE, listener=print)
    (state_directory() / lab.name / "rotation-report.json").write_text(json.dumps(report.to_json()))
    assert report.total.failures == 0, report.failures
    assert report.total.requests >= LEAST_REQUESTS
    assert report.orders.acknowledged > 0
    assert report.orders.found == report.orders.acknowledged
    assert report.orders.verified
    assert sorted({time.node for time in rotation.times}) == sorted(node.name for node in lab.nodes)
    target = Lab.node_size(LabState.load(lab.name), "12")
    assert {(node.cpus, node.memory_mib) for node in Lab(lab.name).status().nodes} == {(target.cpus, target.memory_mib)}
