# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's words for what happens (cloud documentation of a push, in its order)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from trivet.deploy import Step
from trivet.project import Project
from trivet.project.application import Application
from trivet.run.events import Event, LeaseTold, Noted, Progressed, Replanned, StepBegan
from trivet.runtime.routes import concrete

HOOKS = (Step.HOOK, Step.POST_DEPLOY)


class Deploying:
    """Tells the steps of a deploy.

    :param application: name of what is deployed.
    :param say: takes a line of the log.
    """

    def __init__(self, application: str, say: Callable[[str], None]) -> None:
        self._say = say
        self._step = ""
        self._words = {
            Step.SHIP: "Preparing deployment",
            Step.HOLD: f"Closing service {application}",
            Step.HOOK: f"Executing deploy hook for application {application}",
            Step.SWITCH: f"Opening application {application} and its relationships",
            Step.RELEASE: "Opening environment",
            Step.POST_DEPLOY: f"Executing post-deploy hook for application {application}",
        }

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        match event:
            case StepBegan():
                self._step = event.step
                if event.step in self._words:
                    self._say(f"  {self._words[Step(event.step)]}")
            case Progressed():
                # What a hook says is the application's; the rest is about a node.
                self._say(f"    {event.text}" if self._step in HOOKS else f"    {event.node}: {event.text}")
            case Noted() | LeaseTold():
                self._say(f"  {event.text}")
            case Replanned():
                self._say(f"  {event.reason}")


def configuration(project: Project, applications: Sequence[Application]) -> Iterator[str]:
    """The block that tells what the environment has."""
    yield "  Environment configuration"
    for application in applications:
        yield f"    {application.name} (type: {application.runtime}:{application.version}{_disk(application.disk_mb)})"
    for service in project.services:
        yield f"    {service.id} (type: {service.type}:{service.version}{_disk(service.disk_mb)})"


def _disk(megabytes: int | None) -> str:
    return f", disk: {megabytes}" if megabytes else ""


def routes(project: Project, domains: Sequence[str], environment: str) -> Iterator[str]:
    """The block that tells who answers under which address."""
    yield "  Environment routes"
    for route in concrete(project, domains, environment):
        if route.type == "redirect":
            yield f"    {route.url} redirects to {route.to}"
        else:
            yield f"    {route.url} is served by application `{route.upstream.partition(':')[0]}`"
