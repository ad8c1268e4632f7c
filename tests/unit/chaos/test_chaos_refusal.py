# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing but a lab is ever broken, and the refusal comes before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from trivet import api
from trivet.chaos import catalogue, lab_of, run_chaos
from trivet.chaos.events import SuiteNoted
from trivet.cli import chaos as command
from trivet.cli.main import app
from trivet.errors import ChaosStopped, InputError
from trivet.grid import GridNode
from trivet.lab import LabState
from trivet.model import Environment, Node


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabState:
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path / "labs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    nodes = [GridNode(f"lab-{number}", number, f"10.86.3.1{number}") for number in (1, 2, 3)]
    gateways = [f"10.86.3.2{number}" for number in (1, 2, 3)]
    lab = LabState("lab", 3, "6", nodes, gateways, like="production", scale=0.5)
    lab.save()
    return lab


@pytest.fixture
def environment(state: LabState) -> Environment:
    return Environment(
        name="lab",
        inventory=state.inventory,
        nodes=tuple(Node(node.name, node.node_id, node.address) for node in state.nodes),
        gateways=tuple(state.gateways),
        size="6",
        domains=("shop.example",),
        variables={"trivet_lab": "lab", "trivet_provider": "incus"},
    )


def without_lab(environment: Environment) -> Environment:
    return replace(environment, variables={"trivet_provider": "incus"})


def of_a_stranger(environment: Environment) -> Environment:
    return replace(environment, inventory=Path("/srv/inventories/production"))


def of_no_lab(environment: Environment) -> Environment:
    return replace(environment, variables={"trivet_lab": "gone", "trivet_provider": "incus"})


def with_another_provider(environment: Environment) -> Environment:
    return replace(environment, variables={"trivet_lab": "lab", "trivet_provider": "command"})


def with_a_real_machine(environment: Environment) -> Environment:
    return replace(environment, nodes=(*environment.nodes[:2], Node("lab-3", 3, "192.0.2.3")))


def reached_elsewhere(environment: Environment) -> Environment:
    real = Node("lab-3", 3, environment.nodes[2].address, {"ansible_host": "192.0.2.3"})
    return replace(environment, nodes=(*environment.nodes[:2], real))


NO_LABS = [without_lab, of_a_stranger, of_no_lab, with_another_provider, with_a_real_machine, reached_elsewhere]


def test_a_lab_is_taken(environment: Environment, state: LabState) -> None:
    assert lab_of(environment) == state


@pytest.mark.parametrize("change", NO_LABS)
def test_what_is_no_lab_is_refused_before_anything_is_touched(
    environment: Environment, change: Callable[[Environment], Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_words: Any, **_options: Any) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr("subprocess.run", touched)
    monkeypatch.setattr("subprocess.Popen", touched)
    with pytest.raises(InputError, match="is refused: trivet chaos breaks what it is given, and takes labs only"):
        run_chaos(change(environment), catalogue())


def test_a_lab_of_one_node_is_refused(environment: Environment) -> None:
    with pytest.raises(InputError, match="needs three"):
        lab_of(replace(environment, nodes=environment.nodes[:1]))


@pytest.fixture
def invoked(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The scenarios of each run that the command began."""
    runs: list[list[str]] = []

    def run(_environment: Environment, scenarios: Any, **options: Any) -> SimpleNamespace:
        runs.append([scenario.name for scenario in scenarios])
        options["listener"](SuiteNoted("working"))
        if options["rate"] == 7:
            raise KeyboardInterrupt
        return SimpleNamespace(rows=(), json=Path("a.json"), markdown=Path("a.md"), ok=options["rate"] == 50)

    monkeypatch.setattr(command, "load_environment", lambda _name: environment)
    monkeypatch.setattr(api, "run_chaos", run)
    return runs


def test_the_command_runs_what_is_named(invoked: list[list[str]]) -> None:
    result = CliRunner().invoke(app, ["chaos", "lab", "loss", "kill-nginx", "--yes", "--json"])
    assert result.exit_code == 0 and invoked == [["kill-nginx", "loss"]]
    assert '"event": "table"' in result.output


def test_a_missed_goal_is_exit_code_1(invoked: list[list[str]]) -> None:
    assert CliRunner().invoke(app, ["chaos", "lab", "loss", "--yes", "--rate", "20"]).exit_code == 1


def test_the_list_breaks_nothing(invoked: list[list[str]]) -> None:
    result = CliRunner().invoke(app, ["chaos", "lab", "--list", "--json"])
    assert result.exit_code == 0 and invoked == []
    assert len(result.output.splitlines()) == len(catalogue())


def test_a_no_breaks_nothing(invoked: list[list[str]]) -> None:
    assert CliRunner().invoke(app, ["chaos", "lab", "loss"], input="n\n").exit_code == 1
    assert CliRunner().invoke(app, ["chaos", "lab", "loss", "--json"]).exit_code != 0
    assert invoked == []


def test_ctrl_c_is_one_error(invoked: list[list[str]]) -> None:
    result = CliRunner().invoke(app, ["chaos", "lab", "loss", "--yes", "--rate", "7"])
    assert isinstance(result.exception, ChaosStopped) and result.exception.exit_code == 130
