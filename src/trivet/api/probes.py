# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe by itself, and beside a change; what a measurement is kept as."""

from __future__ import annotations

from trivet.api.measure import PATIENCE_SECONDS, measured, reported
from trivet.probe import BackgroundProbe, ProbeReport, ProbeSettings
from trivet.probe.contracts import CONTRACTS, DEFAULT, contract_named
from trivet.report.figures import customers
from trivet.results import Kind as ResultKind
from trivet.results import leave as leave_result

__all__ = [
    "CONTRACTS",
    "DEFAULT",
    "PATIENCE_SECONDS",
    "BackgroundProbe",
    "ProbeReport",
    "ProbeSettings",
    "ResultKind",
    "contract_named",
    "customers",
    "leave_result",
    "measured",
    "reported",
]
