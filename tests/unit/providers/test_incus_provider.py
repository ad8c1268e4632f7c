# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider of labs, as far as it decides without Incus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.grid import instances
from trivet.grid.instances import Instance
from trivet.lab import LabPriorities, LabState, cores
from trivet.model import Environment, Node
from trivet.providers import provider_for
from trivet.rotation.priorities import OwnCores, core_priorities

ENVIRONMENT = Environment(
    name="lab",
    inventory=Path("/var/lib/trivet/labs/lab"),
    nodes=(Node("lab-1", 1, "10.0.0.11"),),
    gateways=("10.0.0.21",),
    size="6",
    domains=("shop.example",),
    variables={"trivet_provider": "incus", "trivet_lab": "lab"},
)


STATE = LabState("lab", 1, "6", [], [], like="inventories/lab", scale=1.0)


def instance(lab: str) -> Instance:
    return Instance("lab-1", "Running", 1, 1024, lab, made=True)


@pytest.mark.parametrize("present", [{}, {"lab-1": instance("lab")}])
def test_a_machine_that_is_there_or_gone_can_be_made_anew(
    present: dict[str, Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(instances, "listed", lambda: present)
    provider_for(ENVIRONMENT).check_create("lab-1", "6", "10.0.0.11")


def test_the_name_of_another_labs_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(instances, "listed", lambda: {"lab-1": instance("other")})
    with pytest.raises(InputError, match="lab-1 exists that belongs to lab other"):
        provider_for(ENVIRONMENT).check_create("lab-1", "6", "10.0.0.11")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What Incus and the kernel are told."""
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(instances, "start", lambda name: told.append(("start", name)))
    monkeypatch.setattr(instances, "set_cpu_allowance", lambda name, percent: told.append(("allowance", name, percent)))
    monkeypatch.setattr(cores, "pin_one_core_each", lambda names: told.append(("pin", *names)))
    monkeypatch.setattr(cores, "set_idle", lambda name, idle: told.append(("idle", name, idle)))
    return told


def test_an_allowance_is_set_while_the_container_takes_part(calls: list[tuple[object, ...]]) -> None:
    LabPriorities().lower_node_priority("lab-1")
    assert calls == [("idle", "lab-1", False), ("allowance", "lab-1", 10), ("idle", "lab-1", True)]
    calls.clear()
    LabPriorities().restore_node_priority("lab-1")
    assert calls == [("idle", "lab-1", False), ("allowance", "lab-1", 100)]


def test_only_where_machines_share_cores_somebody_comes_first() -> None:
    assert isinstance(core_priorities(ENVIRONMENT), LabPriorities)
    other = replace(ENVIRONMENT, variables={"trivet_provider": "command"})
    assert isinstance(core_priorities(other), OwnCores)


@pytest.mark.parametrize(("allowance", "low"), [("10%", [("idle", "lab-1", True)]), ("100%", [])])
def test_a_container_of_low_priority_has_it_after_a_stop_too(
    allowance: str, low: list[tuple[object, ...]], calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Instance("lab-1", "Running", 1, 1024, "lab", made=True, cpu_allowance=allowance)
    monkeypatch.setattr(instances, "listed", lambda: {"lab-1": started})
    provider_for(ENVIRONMENT).start(ENVIRONMENT.nodes[0])
    assert calls == [("start", "lab-1"), ("pin",), *low]
