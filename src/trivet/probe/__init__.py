# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures whether an application keeps serving while its platform is being changed."""

from __future__ import annotations

from trivet.probe.background import BackgroundProbe
from trivet.probe.errors import ProbeError
from trivet.probe.failures import FailureKind
from trivet.probe.probe import Probe
from trivet.probe.report import LiveFigures, ProbeReport
from trivet.probe.settings import ProbeSettings

__all__ = [
    "BackgroundProbe",
    "FailureKind",
    "LiveFigures",
    "Probe",
    "ProbeError",
    "ProbeReport",
    "ProbeSettings",
]
