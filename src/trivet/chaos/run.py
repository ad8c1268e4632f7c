# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure suite on a lab of this machine: from an environment to rows, a JSON file and a Markdown table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.chaos import table
from trivet.chaos.eyes import LabEyes
from trivet.chaos.ground import LabGround
from trivet.chaos.load import ProbeLoad, address_url
from trivet.chaos.parts import Parts
from trivet.chaos.record import Record
from trivet.chaos.refuse import lab_of
from trivet.chaos.row import Row
from trivet.chaos.scenario import Scenario
from trivet.chaos.scenarios import catalogue
from trivet.chaos.suite import Suite
from trivet.errors import LeaseHeld, RemoteError
from trivet.lab import LabState
from trivet.model import Environment
from trivet.remote import Nodes
from trivet.results import Kind, leave
from trivet.run.directories import environment_directory
from trivet.run.events import Listener, unheard
from trivet.services.gateway.turn import GatewayMove

OWNER = "chaos"
"""Recorded with the hand-over of a gateway address that is brought home."""
REPAIRS = "agent@"
"""How the owner of the lease begins when an agent repairs something."""


@dataclass(frozen=True, slots=True)
class ChaosReport:
    """The rows of this run, and the files that have them beside those of earlier runs."""

    rows: tuple[Row, ...]
    json: Path
    markdown: Path

    @property
    def ok(self) -> bool:
        """Every row is as its goal wants it."""
        return all(row.ok for row in self.rows)


def run_chaos(
    environment: Environment,
    scenarios: Sequence[Scenario],
    *,
    rate: float = 50.0,
    contract: str | None = None,
    output: Path | None = None,
    listener: Listener = unheard,
) -> ChaosReport:
    """Break a lab in the ways of the scenarios, one after the other, with customers beside it.

    The files are written anew after each scenario; rows of earlier runs in them stay.

    :param rate: requests per second.
    :param contract: what the customers ask; None: what the lab's application names, else the demo.
    :param output: the JSON file; the table goes beside it as ``.md``. By default both go to the state folder.
    :raises InputError: the environment is no lab; nothing was touched.
    :raises LeaseHeld: somebody is changing the lab.
    :raises ChaosHalted: the lab is not healthy before or after a scenario.
    """
    state = lab_of(environment)
    folder = environment_directory(environment.label) / "chaos"
    path = (output or folder / "scenarios.json").with_suffix(".json")
    known = table.read_rows(path)
    order = [scenario.name for scenario in catalogue()]
    rows: list[Row] = []
    written = path.with_suffix(".md")
    record = Record(state.directory)
    with record.alone(), Nodes(environment) as nodes:

        def load(name: str) -> ProbeLoad:
            events = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}.jsonl"
            return ProbeLoad(environment, rate, events, contract)

        suite = Suite(environment.label, _parts(environment, state, nodes, record, load), listener)
        suite.undo_left()
        _refuse_changes(nodes)
        for row in suite.run(scenarios):
            rows.append(row)
            written = table.write(path, table.merged(known, rows, order), state.name)
    leave(Kind.CHAOS, {"rate_per_second": rate, "rows": [row.to_dict() for row in rows]})
    return ChaosReport(tuple(rows), path, written)


def _parts(
    environment: Environment, state: LabState, nodes: Nodes, record: Record, load: Callable[[str], ProbeLoad]
) -> Parts:
    pairs = zip(environment.gateways, environment.nodes, strict=True)
    return Parts(
        ground=LabGround(state, environment.terms),
        homes={address_url(gateway): node.name for gateway, node in pairs},
        eyes=lambda: LabEyes(nodes),
        load=load,
        record=record,
        come_home=GatewayMove(nodes, OWNER, lambda _words: None).bring_home,
    )


def _refuse_changes(nodes: Nodes) -> None:
    """Nobody else may be changing the lab; the agents' own repairs are what is being tried.

    A node that does not answer is no reason: the first scenario waits until the lab is healthy.

    :raises LeaseHeld: somebody is.
    """
    for node in nodes.environment.nodes:
        try:
            lease = nodes.agent(node, "lease", "show")["lease"]
        except RemoteError:
            continue
        if lease and not str(lease["owner"]).startswith(REPAIRS):
            raise LeaseHeld(f"{lease['owner']} holds the lease of {node.name} for: {lease['purpose']}")
