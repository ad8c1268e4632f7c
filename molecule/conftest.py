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
def nodes(lab: LabState, tmp_path_factory: pytest.TempPathFactory) -> list[Host]:
    configuration = tmp_path_factory.mktemp("ssh") / "config"
    configuration.write_text(
        f"Host *\n  User root\n  IdentityFile {lab.ssh_key}\n  UserKnownHostsFile {lab.known_hosts}\n"
        "  BatchMode yes\n  LogLevel ERROR\n"
    )
    return [testinfra.get_host(f"ssh://{node.address}?ssh_config={configuration}") for node in lab.nodes]
