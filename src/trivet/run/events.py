# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]
Listener = Callable[[Event], None]
