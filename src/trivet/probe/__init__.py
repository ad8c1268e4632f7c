# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures whether the shop keeps selling while its platform is being changed."""

from __future__ import annotations

from trivet.probe.background import BackgroundProbe
from trivet.probe.errors import ProbeError
from trivet.probe.failures import FailureKind
from trivet.probe.probe import Probe
from trivet.probe.report import LiveFigures, ProbeReport
from trivet.probe.settings import Operation, ProbeSettings, RequestKind

__all__ = [
    "BackgroundProbe",
    "FailureKind",
    "LiveFigures",
    "Operation",
    "Probe",
    "ProbeError",
    "ProbeReport",
    "ProbeSettings",
    "RequestKind",
]
