# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a change: one HTML file that needs no network, and the same as JSON."""

from __future__ import annotations

from trivet.report.document import trivet_version
from trivet.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "trivet_version", "write_report"]
