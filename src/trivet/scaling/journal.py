# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a scale-out or scale-in: lines as those of a rolling change, kept on the nodes beside them.

The record of the web nodes decides how a change goes on, since Ansible reads it; the journal tells what was done, when,
and by whom. Every step is done for all nodes of the change at once: its lines name them all (``nodes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trivet.agent.journal import OPEN_STATES
from trivet.model import Environment
from trivet.remote import Nodes, observe
from trivet.rotation.change import is_rolling
from trivet.rotation.plan import Refusal
from trivet.rotation.view import view_of
from trivet.run.copies import JournalCopies
from trivet.run.journal import Journal, changes
from trivet.scaling.plan import SCALE_IN, SCALE_OUT, WHAT_HAPPENS, InStep, ScalePlan, machine_of
from trivet.scaling.record import Progress, WebHost


def open_journal(
    environment: Environment, copies: JournalCopies, plan: ScalePlan, owner: str, command: str
) -> tuple[Journal, bool]:
    """The journal to write to, and whether it is one that an earlier run of the same change left open.

    Other journals of web nodes that are open are closed: what they had begun is in this plan, or was given up. Only
    for who holds the lease.

    :param command: what goes on with the change, for an operator.
    :raises ChangeHalted: when no majority of the nodes has a journal, or its first line.
    """
    continued = None
    for item in changes(copies.summaries()):
        if not _is_open(item):
            continue
        journal = Journal.reopened(environment.label, item["id"], copies)
        if continued is None and _is_of(item["change"], plan):
            continued = journal
        else:
            # Its runner may have been killed with nothing left to do but this line, and another command is given now.
            journal.write("done" if _went_through(journal.lines) else "aborted", by=owner)
    if continued is not None:
        continued.write("resumed", majority=True, owner=owner)
        return continued, True
    journal = Journal.begin(environment.label, owner, copies)
    journal.write("plan", majority=True, owner=owner, plan=plan_line(environment, plan, command))
    return journal, False


def rolling(environment: Environment, journals: Iterable[Mapping[str, Any]]) -> tuple[Refusal, ...]:
    """What refuses beside a rolling change that is not over: the node that it has in hand is not as the others are.

    :param journals: summaries, the newest first.
    """
    return tuple(
        Refusal(
            f"a {item['change'].get('summary', 'change')} by {item['owner']} is not over ({item['state']}), "
            "so no web node comes or goes",
            f"trivet rotation status {environment.label}",
        )
        for item in journals
        if item["state"] in OPEN_STATES and is_rolling(item["change"])
    )


def gone_through(
    environment: Environment, journals: Iterable[Mapping[str, Any]], copies: JournalCopies, command: str
) -> Journal | None:
    """The journal of the last change of web nodes, when this command made it and it lacks its last line alone.

    Its runner was killed when all was done: the same command has that line to write, and not the change to make again.

    :param journals: summaries, the newest first.
    :raises ChangeHalted: when no majority of the nodes has the journal.
    """
    newest = next((item for item in journals if _is_open(item)), None)
    if newest is None or newest["change"].get("command") != command:
        return None
    journal = Journal.reopened(environment.label, newest["id"], copies)
    return journal if _went_through(journal.lines) else None


def plan_of(journal: Journal) -> ScalePlan:
    """The plan of a change that has gone through all of its steps, as its journal has it: no step is left."""
    plan = next(line for line in journal.lines if line["kind"] == "plan")["plan"]
    kind = plan["change"]["kind"]
    progress = Progress.SERVING if kind == SCALE_OUT else Progress.LEAVING
    nodes = tuple(
        WebHost(node["name"], node["address"], node["node_id"], progress, node["given"]) for node in plan["nodes"]
    )
    return ScalePlan(kind, plan["environment"], nodes, (), continued=True)


def seconds_of(journal: Journal) -> tuple[float, dict[str, float]]:
    """How long a change took up to the end of its last step, and each of its steps, in seconds."""
    ends = [line for line in journal.lines if line["kind"] == "end"]
    return ends[-1]["at"] - journal.lines[0]["at"], {line["step"]: line["seconds"] for line in ends}


def plan_line(environment: Environment, plan: ScalePlan, command: str) -> dict[str, Any]:
    """The plan as a report reads it."""
    before, after = _web_nodes(environment, plan)
    return {
        "environment": plan.environment,
        "change": {
            "kind": plan.kind,
            "nodes": list(plan.names),
            "web_nodes_before": before,
            "web_nodes_after": after,
            "summary": plan.purpose,
            "command": command,
        },
        "nodes": [
            {
                "name": host.name,
                "reason": machine_of(host, plan.size),
                "address": host.address,
                "node_id": host.node_id,
                "given": host.given,
            }
            for host in plan.nodes
        ],
        "steps": [{"step": step, "what": WHAT_HAPPENS[step]} for step in plan.steps],
    }


def snapshot(nodes: Nodes, when: str) -> dict[str, Any]:
    """The verdict and the machines as they are now, as a line of the journal.

    :param when: ``before`` or ``after``.
    """
    return view_of(nodes.environment, observe(nodes)).to_line(when)


def _is_open(item: Mapping[str, Any]) -> bool:
    """Whether a journal's summary is that of a change of web nodes that is not over."""
    return item["state"] in OPEN_STATES and item["change"].get("kind") in (SCALE_OUT, SCALE_IN)


def _is_of(change: Mapping[str, Any], plan: ScalePlan) -> bool:
    return change.get("kind") == plan.kind and set(change.get("nodes", ())) == set(plan.names)


def _went_through(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last step was done; both directions end with the verdict."""
    steps = [line for line in lines if line["kind"] in ("begin", "end")]
    return bool(steps) and (steps[-1]["kind"], steps[-1]["step"]) == ("end", InStep.VERDICT.value)


def _web_nodes(environment: Environment, plan: ScalePlan) -> tuple[int, int]:
    """How many web nodes customers have before and after the change."""
    serving = {node.name for node in environment.web_nodes if node.in_service}
    moving = set(plan.names)
    if plan.kind == SCALE_OUT:
        return len(serving - moving), len(serving | moving)
    return len(serving), len(serving - moving)
