# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of a deploy is killed in one step after the other; one command goes on each time, and no request fails."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.failures.commands import Run, healthy, measure, record
from tests.failures.projects import change_page, change_schema, leaves_nothing, serving
from trivet.api import Environment
from trivet.api.deploy import PATIENCE_SECONDS
from trivet.lab import LabState

TAKEN_BACK_IN = ("ship", "prepare")
"""Nothing can be seen of it there, and what it runs with is known to its runner alone."""
GONE_ON_WITH_IN = ("hook", "warm", "record", "switch", "retire")
HELD_IN = ("hold", *GONE_ON_WITH_IN)


@pytest.mark.parametrize("held", [False, True], ids=["nobody-waits", "requests-wait"])
def test_a_killed_runner_of_a_deploy_is_gone_on_with(
    environment: Environment, lab: LabState, shop: Path, held: bool
) -> None:
    change_page(shop, f"first {time.time()}")
    first = Run("deploy", lab.name, str(shop), "--yes")
    assert first.ended() == 0, first.error

    def work() -> None:
        for step in (*TAKEN_BACK_IN, *(HELD_IN if held else GONE_ON_WITH_IN)):
            before = serving(lab)
            change_page(shop, f"{step} {time.time()}")
            if held:
                change_schema(shop)
            run = Run("deploy", lab.name, str(shop), "--yes")
            run.until("step begins", step=step)
            run.kill()
            again = Run("deploy", lab.name, "--resume")
            if step in TAKEN_BACK_IN:
                assert again.ended() == 2 and "was taken back" in again.error, again.error
                assert serving(lab) == before
            else:
                assert again.ended() == 0, again.error
                assert len(serving(lab)) == 1 and serving(lab) != before
            leaves_nothing(lab)

    # Who waits for a runner that is dead waits until somebody goes on.
    report = measure(environment, work, PATIENCE_SECONDS)
    record(f"runner of a deploy killed in every step{', requests wait' if held else ''}", report)
    assert report.total.failures == 0, report.failures
    assert report.orders is not None and report.orders.found == report.orders.acknowledged > 0
    assert healthy(lab.name)
