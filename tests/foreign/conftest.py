# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of one node for an application that is no shop: `bin/test foreign`.

The lab is the one that TRIVET_FOREIGN_LAB names, by default ``wiki``; it is made when missing, and left standing. Its
inventory is `tests/foreign/inventory`, as an operator writes one.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.failures.commands import on, trivet
from tests.foreign.client import Wiki
from trivet.api import Environment
from trivet.lab import LabState
from trivet.paths import collection_root


@pytest.fixture(scope="session")
def lab() -> LabState:
    """The lab, converged."""
    name = os.environ.get("TRIVET_FOREIGN_LAB", "wiki")
    inventory = collection_root() / "tests" / "foreign" / "inventory"
    trivet("lab", "up", name, "--like", str(inventory), timeout=1800)
    trivet("converge", name, timeout=1800)
    return LabState.load(name)


@pytest.fixture(scope="session")
def environment(lab: LabState) -> Environment:
    return Environment.load(lab.name)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wiki's project, to be changed from release to release."""
    source = collection_root() / "tests" / "applications" / "wiki"
    return Path(shutil.copytree(source, tmp_path_factory.mktemp("project") / "wiki"))


@pytest.fixture(scope="session")
def visitor(lab: LabState, environment: Environment) -> Wiki:
    """Somebody without an account."""
    return Wiki(lab.gateways[0], environment.description.domain)


@pytest.fixture(scope="session")
def author(lab: LabState, environment: Environment) -> Wiki:
    """The administrator, logged in once: his session lasts from release to release."""
    secrets = on(lab.nodes[0].name, "cat /srv/shared/private/secrets.php")
    found = re.search(r"'admin_password' => '([0-9a-f]+)'", secrets)
    assert found is not None
    wiki = Wiki(lab.gateways[0], environment.description.domain)
    wiki.log_in("Admin", found[1])
    return wiki
