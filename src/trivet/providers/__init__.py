# SPDX-License-Identifier: GPL-3.0-or-later
"""Providers make, stop, resize, start and remove machines. They know machines, not services."""

from __future__ import annotations

from trivet.providers.provider import Provider, provider_for

__all__ = ["Provider", "provider_for"]
