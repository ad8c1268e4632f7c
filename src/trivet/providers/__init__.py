# SPDX-License-Identifier: GPL-3.0-or-later
"""Providers make a machine larger: stop, resize, start. They know machines, not services."""

from __future__ import annotations

from trivet.providers.provider import Provider, provider_for

__all__ = ["Provider", "provider_for"]
