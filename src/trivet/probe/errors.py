# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the probe itself, as opposed to failures of the shop."""

from __future__ import annotations

from trivet.errors import TrivetError


class ProbeError(TrivetError):
    """The probe could not begin or lost its process; nothing can be said about the shop."""
