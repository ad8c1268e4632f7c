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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What Incus and the kernel are told."""
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(LabState, "load", lambda _name: STATE)
    monkeypatch.setattr(incus.instances, "start", lambda name: told.append(("start", name)))
    monkeypatch.setattr(incus.instances, "share", lambda name, percent: told.append(("share", name, percent)))
    monkeypatch.setattr(incus.cores, "apart", lambda names: told.append(("apart", *names)))
    monkeypatch.setattr(incus.cores, "give_way", lambda name, whether: told.append(("give way", name, whether)))
    return told


def test_a_share_is_set_while_the_container_takes_part(calls: list[tuple[object, ...]]) -> None:
    provider, node = provider_for(ENVIRONMENT), ENVIRONMENT.nodes[0]
    provider.step_aside(node)
    assert calls == [("give way", "lab-1", False), ("share", "lab-1", 10), ("give way", "lab-1", True)]
    calls.clear()
    provider.step_back(node)
    assert calls == [("give way", "lab-1", False), ("share", "lab-1", 100)]


@pytest.mark.parametrize(("share", "aside"), [("10%", [("give way", "lab-1", True)]), ("100%", [])])
def test_a_container_that_stepped_aside_does_so_after_a_stop_too(
    share: str, aside: list[tuple[object, ...]], calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Instance("lab-1", "Running", 1, 1024, "lab", made=True, share=share)
    monkeypatch.setattr(incus.instances, "listed", lambda: {"lab-1": started})
    provider_for(ENVIRONMENT).start(ENVIRONMENT.nodes[0])
    assert calls == [("start", "lab-1"), ("apart",), *aside]
