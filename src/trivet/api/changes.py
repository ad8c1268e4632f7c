# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes: rolling ones and those of web nodes, their plans, what they tell, and the load that is measured beside them.

>>> from trivet.api.changes import Change, Rotations, reported  # doctest: +SKIP
>>> with Rotations(environment) as rotations:  # doctest: +SKIP
...     plan = rotations.plan(Change.resize(environment, "12"))
...     reported(environment, lambda heard: rotations.bound(heard, StopRequest()).apply(plan.change, plan))
"""

from __future__ import annotations

from trivet.api.measure import measured, reported
from trivet.rotation.change import WHAT_HAPPENS as ROTATION_STEPS
from trivet.rotation.change import Change, Kind
from trivet.rotation.engine import RotationReport
from trivet.rotation.plan import Plan, Refusal
from trivet.rotation.rotations import Rotations, refuse
from trivet.run.events import (
    Event,
    LeaseTold,
    Listener,
    Noted,
    ProbeBegan,
    ProbeSeen,
    Progressed,
    Replanned,
    Reported,
    RunBegan,
    StepBegan,
    StepEnded,
)
from trivet.run.lease import run_owner
from trivet.run.stop import StopRequest
from trivet.scaling import ScaleIn, ScaleOut, ScalePlan, ScaleReport
from trivet.scaling.plan import WHAT_HAPPENS as SCALING_STEPS
from trivet.scaling.plan import machine_of

__all__ = [
    "ROTATION_STEPS",
    "SCALING_STEPS",
    "Change",
    "Event",
    "Kind",
    "LeaseTold",
    "Listener",
    "Noted",
    "Plan",
    "ProbeBegan",
    "ProbeSeen",
    "Progressed",
    "Refusal",
    "Replanned",
    "Reported",
    "RotationReport",
    "Rotations",
    "RunBegan",
    "ScaleIn",
    "ScaleOut",
    "ScalePlan",
    "ScaleReport",
    "StepBegan",
    "StepEnded",
    "StopRequest",
    "machine_of",
    "measured",
    "refuse",
    "reported",
    "run_owner",
]
