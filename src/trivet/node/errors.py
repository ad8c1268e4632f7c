# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent says when it cannot do what it was asked."""

from __future__ import annotations


class AgentError(RuntimeError):
    """A command failed; the message is one sentence for an operator, printed as JSON with exit code 1."""
