# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy will do: which release, on which nodes, with which hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trivet.agent.journal import OPEN_STATES
from trivet.rotation.plan import Refusal

DEPLOY = "deploy"
ROLLBACK = "rollback"


class Step(StrEnum):
    """The steps of a deploy, in their order."""

    SHIP = "ship"
    PREPARE = "prepare"
    ASK = "ask"
    REST = "rest"
    HOLD = "hold"
    HOOK = "hook"
    WARM = "warm"
    RECORD = "record"
    SWITCH = "switch"
    RELEASE = "release"
    POST_DEPLOY = "post-deploy"
    WORK = "work"
    RETIRE = "retire"
    VERDICT = "verdict"


WHAT_HAPPENS: Mapping[Step, str] = {
    Step.SHIP: "the archive goes to the shared volume once; every node unpacks it at a low priority",
    Step.PREPARE: "databases and folders are made; the new instance starts beside the old one and answers real pages",
    Step.ASK: "the new release is asked whether requests must wait for its deploy hook",
    Step.HOLD: "new requests wait in every HAProxy; those in flight end (only when the release asked for it)",
    Step.REST: "crons and workers of the old instance end, within their limits",
    Step.HOOK: "the deploy hook runs on one node",
    Step.WARM: "the new instance reads its settings anew and answers every page on every node, or nothing goes on",
    Step.RECORD: "a node that comes back takes the new release from now on",
    Step.SWITCH: "nginx of each node serves the new instance, by one reload",
    Step.RELEASE: "the requests that waited are answered by the new release",
    Step.POST_DEPLOY: "the post-deploy hook runs on one node",
    Step.WORK: "the new instance's workers run on every node, and crons begin again",
    Step.RETIRE: "the old instance ends with its last request; releases beyond the last five are removed",
    Step.VERDICT: "the whole environment is healthy",
}
DEPLOY_STEPS = tuple(Step)
ROLLBACK_STEPS = (
    *(Step.PREPARE, Step.REST, Step.WARM, Step.RECORD, Step.SWITCH),
    *(Step.WORK, Step.RETIRE, Step.VERDICT),
)
UNDONE_UNTIL = Step.RECORD
"""The first step after which a failure is not undone by itself."""


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """A deploy before it is done.

    :param kind: ``deploy`` or ``rollback``.
    :param instance: the release with what it runs with here.
    :param before: the instance that serves now; None when there is none.
    :param hold: whether requests wait: ``auto``, ``always``, ``never`` or a command.
    :param hook_node: where hooks run.
    """

    kind: str
    environment: str
    label: str
    application: str
    release: str
    instance: str
    before: str | None
    nodes: tuple[str, ...]
    hook_node: str
    hold: str = "auto"
    commit: str | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is done."""
        return DEPLOY_STEPS if self.kind == DEPLOY else ROLLBACK_STEPS

    @property
    def purpose(self) -> str:
        """In words."""
        return f"{self.kind} of {self.release}" if self.kind == DEPLOY else f"{self.kind} to {self.release}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, as reports and journals read it; :meth:`from_dict` reads it back."""
        return {
            "environment": self.environment,
            "change": {
                "kind": self.kind,
                "summary": self.purpose,
                "command": f"trivet deploy {self.label} --resume",
                "application": self.application,
                "release": self.release,
                "instance": self.instance,
                "before": self.before,
                "hold": self.hold,
                "hook_node": self.hook_node,
                "commit": self.commit,
                "nodes": list(self.nodes),
                "label": self.label,
            },
            "nodes": [{"name": name, "reason": "serves the application"} for name in self.nodes],
            "steps": [{"step": step.value, "what": WHAT_HAPPENS[step]} for step in self.steps],
            "refusals": [{"reason": item.reason, "next": item.next_command} for item in self.refusals],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DeployPlan:
        """Read what :meth:`to_dict` gave, without refusals."""
        change = data["change"]
        return cls(
            kind=change["kind"],
            environment=data["environment"],
            label=change["label"],
            application=change["application"],
            release=change["release"],
            instance=change["instance"],
            before=change["before"],
            nodes=tuple(change["nodes"]),
            hook_node=change["hook_node"],
            hold=change["hold"],
            commit=change["commit"],
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a deploy has come, as its journal has it.

    :param ended: the steps that were done.
    :param held: whether requests were to wait; None while it was not asked.
    :param switched: nodes that serve the new instance, or may.
    """

    ended: frozenset[Step]
    held: bool | None
    switched: bool

    @property
    def may_be_undone(self) -> bool:
        """Whether customers can have seen nothing of it."""
        return not self.switched

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Standing:
        """Read a journal."""
        ended: set[Step] = set()
        held: bool | None = None
        switched = False
        for line in lines:
            if line["kind"] == "end":
                ended.add(Step(line["step"]))
            elif line["kind"] == "decided":
                held = bool(line["hold"])
            elif line["kind"] == "begin" and line["step"] == Step.RECORD:
                switched = True
        return cls(frozenset(ended), held, switched)

    def remaining(self, steps: Sequence[Step]) -> list[Step]:
        """The steps that are left. A hold lives in the memory of the proxies: it is begun anew."""
        left = [step for step in steps if step not in self.ended]
        if self.held and Step.RELEASE in left and Step.HOLD not in left:
            left.insert(0, Step.HOLD)
        return left


@dataclass(frozen=True, slots=True)
class Data:
    """Where an application keeps its data in an environment.

    :param databases: their names.
    :param mounts: folders of the nodes that hold shared mounts.
    """

    application: str
    databases: frozenset[str]
    mounts: frozenset[str]


def left_behind(label: str, serving: Data, coming: Data) -> tuple[Refusal, ...]:
    """What refuses a release that would not find the data of the one that serves (a renamed application or service).

    The names of applications, services and mounts are those of their data: with another name there is other data.
    """
    lost = [
        *(f"database {name}" for name in sorted(serving.databases - coming.databases)),
        *(f"folder {path}" for path in sorted(serving.mounts - coming.mounts)),
    ]
    if not lost:
        return ()
    renamed = serving.application != coming.application
    who = f"application {serving.application} is called {coming.application} now" if renamed else "names have changed"
    return (
        Refusal(
            f"{who}: the data of the release that serves would stay behind unused: {', '.join(lost)}",
            f"give back the name, or: trivet deploy {label} DIR --leave-data",
        ),
    )


def other_change(label: str, journals: Iterable[Mapping[str, Any]]) -> tuple[Refusal, ...]:
    """What refuses beside a change that is not over.

    :param journals: summaries, the newest first.
    """
    return tuple(
        Refusal(
            f"a {item['change'].get('summary', 'change')} by {item['owner']} is not over ({item['state']})",
            item["change"].get("command") or f"trivet rotation status {label}",
        )
        for item in journals
        if item["state"] in OPEN_STATES
    )
