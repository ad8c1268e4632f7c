# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner is killed in the middle of every kind of step; one command goes on each time, and no request fails."""

from __future__ import annotations

import random
import subprocess
import time

from tests.failures.commands import Run, children, healthy, measure, record, sizes
from trivet.api import Environment
from trivet.lab import LabState
from trivet.run.lease import LEASE_SECONDS, RENEW_SECONDS

KILLED_IN = {
    "drain": 0.3,
    "stop": 3.0,
    "start": 0.0,
    "hand over": 0.1,
    "resize": 3.0,
    "undrain": 2.0,
    "gateway": 1.0,
    "gate": 2.0,
    "soak": 3.0,
}
"""Three steps of each node in their order; the longest time after the step began, in seconds.

In the longest of them a second runner is tried first, which takes some ten seconds to be refused.
"""
SECOND_RUNNER_IN = "start"
SIZE = "12"


def take_over_is_not_early(killed_at: float, run: Run) -> None:
    """The dead runner's lease is waited for: it renewed it at most RENEW_SECONDS before it died, or was renewing it."""
    taken = next(event for event in run.events if event["event"] == "lease" and "took the lease over" in event["text"])
    assert taken["at"] - killed_at > LEASE_SECONDS - 2 * RENEW_SECONDS, run.events


def test_a_killed_runner_loses_nothing(environment: Environment, lab: LabState) -> None:
    moments = random.Random(20261124)
    second: list[str] = []

    def work() -> None:
        run = Run("upscale", lab.name, "--size", SIZE, "--yes")
        killed_at: float | None = None
        for step, seconds in KILLED_IN.items():
            run.until("step begins", step=step)
            if killed_at is not None:
                take_over_is_not_early(killed_at, run)
            if step == SECOND_RUNNER_IN:
                other = subprocess.run(
                    ["trivet", "upscale", lab.name, "--size", SIZE, "--yes"],
                    capture_output=True,
                    text=True,
                    timeout=120,
                    stdin=subprocess.DEVNULL,
                )
                assert other.returncode == 2, other.stdout
                second.append(" ".join(other.stderr.split()))
            time.sleep(moments.uniform(0.0, seconds))
            killed_at = run.kill()
            assert not children(["ansible-playbook", "rotation/", lab.name]), "a killed runner's playbook goes on"
            run = Run("rotation", "resume", lab.name)
        assert run.ended() == 0, run.error
        assert killed_at is not None
        take_over_is_not_early(killed_at, run)

    report = measure(environment, work)
    record(f"runner killed {len(KILLED_IN)} times", report)
    assert "resize to size 12" in second[0] and "is not over" in second[0], second
    assert report.total.failures == 0, report.failures
    assert report.orders.verified and report.orders.found == report.orders.acknowledged
    assert healthy(lab.name)
    target = LabState.load(lab.name).node_size(SIZE)
    assert sizes(lab.name) == {(target.cpus, target.memory_mib)}
    assert Environment.load(lab.name).rotations().status()["state"] == "done"
