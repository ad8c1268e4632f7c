# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a push on the grid machine: who may, which environment it is for, what it waits for, and what is kept of it.

Git itself receives the objects. Its hook ``pre-receive`` asks this room, before any branch moves.
"""

from __future__ import annotations
