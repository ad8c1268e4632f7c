# SPDX-License-Identifier: GPL-3.0-or-later
"""Which answers of a new instance end a deploy."""

from __future__ import annotations

import pytest

from trivet.deploy.steps import complaint

HEALTH = "/health.php"


def page(path: str, status: int) -> dict[str, object]:
    return {"path": path, "status": status, "seconds": 0.1, "error": "timed out" if status == 0 else None}


@pytest.mark.parametrize(("path", "status"), [(HEALTH, 200), ("/", 200), ("/", 302), ("/gone", 404)])
def test_what_is_ready(path: str, status: int) -> None:
    assert complaint(page(path, status), HEALTH) is None


@pytest.mark.parametrize(
    ("path", "status"),
    [(HEALTH, 500), (HEALTH, 404), (HEALTH, 403), (HEALTH, 301), (HEALTH, 204), ("/", 500), ("/", 503)],
)
def test_what_no_proxy_or_visitor_may_get(path: str, status: int) -> None:
    """A health page that is not there would end the traffic of a node once it is switched."""
    assert complaint(page(path, status), HEALTH) == f"answers {status}"


@pytest.mark.parametrize(("status", "refused"), [(500, False), (503, False), (404, False), (502, True), (504, True)])
def test_before_the_hook_it_must_run_and_no_more(status: int, refused: bool) -> None:
    assert complaint(page(HEALTH, status), None) == (f"answers {status}" if refused else None)


@pytest.mark.parametrize("health_page", [None, HEALTH])
def test_what_does_not_come_is_refused(health_page: str | None) -> None:
    assert complaint(page("/", 0), health_page) == "does not come: timed out"
