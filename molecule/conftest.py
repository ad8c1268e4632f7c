# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of the scenario's lab, as testinfra hosts."""

from __future__ import annotations

import os

import pytest
import testinfra
from testinfra.host import Host

from trivet.lab import LabState


@pytest.fixture(scope="session")
def lab() -> LabState:
    return LabState.load(os.environ["TRIVET_SCENARIO_LAB"])


@pytest.fixture(scope="session")
def nodes(lab: LabState) -> list[Host]:
    options = f"ssh_identity_file={lab.ssh_key}&ssh_extra_args=-o%20UserKnownHostsFile%3D{lab.known_hosts}"
    return [testinfra.get_host(f"ssh://root@{node.address}?{options}") for node in lab.nodes]
