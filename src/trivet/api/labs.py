# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded lab."""

from __future__ import annotations

from trivet.ansible import ensure_secrets
from trivet.grid.machine import CACHE_DIRECTORY
from trivet.lab import Lab, LabStatus

__all__ = ["CACHE_DIRECTORY", "Lab", "LabStatus", "ensure_secrets"]
