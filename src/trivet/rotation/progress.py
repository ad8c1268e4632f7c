# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a change came, read from its journal, and where it goes on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trivet.agent.journal import state_of
from trivet.rotation.change import TAKES_OUT, Change, Step, is_rolling


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a change came.

    :param finished: nodes that went through all of their steps.
    :param current: the node that was begun and not finished, if any.
    :param step: the last step of it that was begun.
    :param touched: nodes whose services were stopped, finished ones included, in the order in which it happened.
    :param owner: who ran it last.
    """

    change: Change
    state: str
    owner: str
    finished: tuple[str, ...]
    current: str | None
    step: Step | None
    touched: tuple[str, ...]

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]]) -> Progress:
        """Read a journal; its first line is the plan, which may say at which node and step the change begins.

        :raises ValueError: when it has no plan.
        """
        plan = next((line for line in lines if line["kind"] == "plan"), None)
        if plan is None:
            raise ValueError("the journal has no plan")
        finished: list[str] = []
        touched: list[str] = []
        current: str | None = None
        step: Step | None = None
        # A rollback begins in the middle of a node; killed before its first step, it must not look untouched.
        begun = [{**plan["current"], "kind": "begin"}] if plan.get("current") else []
        for line in [*begun, *lines]:
            kind, node = line["kind"], line.get("node")
            if kind == "begin":
                current, step = node, Step(line["step"])
                if step not in TAKES_OUT[:-1] and node not in touched:
                    touched.append(str(node))
            elif kind == "end" and line["step"] == Step.SOAK.value:
                finished.append(str(node))
                current = step = None
            elif kind == "drain undone":
                current = step = None
        return cls(
            change=Change.from_dict(plan["plan"]["change"]),
            state=state_of(lines),
            owner=str([line for line in lines if "owner" in line][-1]["owner"]),
            finished=tuple(finished),
            current=current,
            step=step,
            touched=tuple(touched),
        )

    @property
    def remaining(self) -> tuple[str, ...]:
        """Nodes that are not finished, the current one among them."""
        return tuple(name for name in self.change.nodes if name not in self.finished)

    @property
    def current_touched(self) -> bool:
        """Whether the current node's services were stopped."""
        return self.current is not None and self.step not in TAKES_OUT[:-1]

    def resume_at(self, serves: bool) -> Step:
        """The step at which the current node goes on.

        A node that was not touched yet, or that serves customers again, is taken out from the beginning: roles may have
        come to it meanwhile. Any other goes on where it was, since every step is harmless when repeated. A gate
        that did not pass is preceded by the start, which mends what a stopped service needs.

        :param serves: whether customers are sent to the node now.
        """
        assert self.step is not None
        if self.step in (Step.UNDRAIN, Step.SOAK):
            return Step.UNDRAIN if serves else Step.GATE
        if not self.current_touched or serves:
            return Step.HAND_OVER
        return Step.START if self.step is Step.GATE else self.step

    def abort_at(self, serves: bool) -> Step:
        """The step at which the current node, touched already, is brought back into use as it is."""
        if serves and self.step in (Step.UNDRAIN, Step.SOAK):
            return Step.UNDRAIN
        return Step.START


def progress_of(change: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far any change came, as JSON data: finished, current, step, remaining.

    A change of web nodes does each step for all of its nodes: they are finished together.
    """
    if is_rolling(change):
        progress = Progress.of(lines)
        return {
            "finished": list(progress.finished),
            "current": progress.current,
            "step": progress.step.value if progress.step else None,
            "remaining": list(progress.remaining),
        }
    nodes = list(change.get("nodes", ()))
    if state_of(lines) == "done":
        return {"finished": nodes, "current": None, "step": None, "remaining": []}
    begun = [line for line in lines if line["kind"] == "begin"]
    last = begun[-1] if begun else {}
    return {"finished": [], "current": last.get("node"), "step": last.get("step"), "remaining": nodes}
