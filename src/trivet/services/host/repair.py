# SPDX-License-Identifier: GPL-3.0-or-later
"""Members that nobody hears."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.node.repair import Repair
from trivet.node.symptom import DISTURBED_LOOKS, Symptom, View


def symptoms(view: View) -> Iterator[Symptom]:
    """Members that are not heard; nobody but a human can reach them."""
    for member in view.config.members:
        if member.name not in view.heard:
            yield Symptom(
                service="host",
                subject=member.name,
                problem="not heard",
                reason=f"the healer of {member.name} does not answer: it is stopped, or the node is down or cut off",
                looks=DISTURBED_LOOKS,
                cluster_wide=True,
                next_command=f"ssh {member.address} systemctl status trivet-heal",
            )


REPAIR = Repair(symptoms=symptoms)
