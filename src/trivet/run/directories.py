# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this machine keeps what the runs of an environment left: copies of journals, reports, events of probes."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """Where this machine keeps what runs leave.

    ``$XDG_STATE_HOME/trivet``, by default ~/.local/state/trivet.
    """
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "trivet"


def environment_directory(label: str) -> Path:
    """What this machine keeps of an environment.

    :param label: what an operator types for it.
    """
    return state_directory() / label.replace("/", "-")


def journals_directory(label: str) -> Path:
    """The journals of an environment on this machine."""
    return environment_directory(label) / "journals"


def reports_directory(label: str) -> Path:
    """The reports of an environment's changes on this machine."""
    return environment_directory(label) / "reports"


def probes_directory(label: str) -> Path:
    """The events of the probes that ran beside an environment's changes."""
    return environment_directory(label) / "probes"
