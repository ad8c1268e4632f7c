# SPDX-License-Identifier: GPL-3.0-or-later
"""A push is told in the platform's words and order."""

from __future__ import annotations

from pathlib import Path

from trivet.paths import collection_root
from trivet.project import check
from trivet.push.words import Deploying, configuration, routes
from trivet.run.events import Noted, Progressed, StepBegan, StepEnded


def test_the_steps_of_a_deploy_have_the_platforms_words() -> None:
    told: list[str] = []
    tell = Deploying("store", told.append)
    for event in (
        StepBegan("ship"),
        Progressed("n1", "/: 200 in 5 ms"),
        StepBegan("hold"),
        StepBegan("hook"),
        Progressed("n1", "upgrading"),
        StepEnded("hook", 1.0),
        StepBegan("warm"),
        Progressed("n2", "/: 200 in 5 ms"),
        StepBegan("switch"),
        StepBegan("release"),
        StepBegan("post-deploy"),
        Noted("W: the hook failed"),
        StepBegan("verdict"),
    ):
        tell(event)
    assert told == [
        "  Preparing deployment",
        "    n1: /: 200 in 5 ms",
        "  Closing service store",
        "  Executing deploy hook for application store",
        "    upgrading",
        "    n2: /: 200 in 5 ms",
        "  Opening application store and its relationships",
        "  Opening environment",
        "  Executing post-deploy hook for application store",
        "  W: the hook failed",
    ]


def test_the_end_tells_services_with_versions_and_every_route() -> None:
    folder: Path = collection_root() / "demo" / "store"
    project = check(folder, environment="production", domains=["shop.example"])
    assert list(configuration(project, project.applications)) == [
        "  Environment configuration",
        "    store (type: php:8.2, disk: 2048)",
        "    mysql (type: mysql:10.11, disk: 2048)",
        "    redis (type: redis:7.0)",
        "    redis-session (type: redis-persistent:7.0, disk: 256)",
        "    opensearch (type: opensearch:2, disk: 512)",
    ]
    assert "    http://shop.example/ is served by application `store`" in list(
        routes(project, ["shop.example"], "production")
    )
