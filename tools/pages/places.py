# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
