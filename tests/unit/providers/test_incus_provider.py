# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider of labs, as far as it decides without Incus."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.lab import LabState
from trivet.lab.instances import Instance
from trivet.model import Environment, Node
from trivet.providers import incus, provider_for

ENVIRONMENT = Environment(
    name="lab",
    inventory=Path("/var/lib/trivet/labs/lab"),
    nodes=(Node("lab-1", 1, "10.0.0.11"),),
    gateways=("10.0.0.21",),
    size="6",
    domain="shop.example",
    variables={"trivet_provider": "incus", "trivet_lab": "lab"},
)


STATE = LabState("lab", "inventories/lab", 1, 1.0, "6", [], [])


def instance(lab: str) -> Instance:
    return Instance("lab-1", "Running", 1, 1024, lab, made=True)


@pytest.mark.parametrize("present", [{}, {"lab-1": instance("lab")}])
def test_a_machine_that_is_there_or_gone_can_be_made_anew(
    present: dict[str, Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(incus.instances, "listed", lambda: present)
    provider_for(ENVIRONMENT).check_create("lab-1", "6", "10.0.0.11")


def test_the_name_of_another_labs_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(incus.instances, "listed", lambda: {"lab-1": instance("other")})
    with pytest.raises(InputError, match="lab-1 exists that belongs to lab other"):
        provider_for(ENVIRONMENT).check_create("lab-1", "6", "10.0.0.11")
