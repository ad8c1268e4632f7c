# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hook of a push asks: build and deploy before a branch moves, and say in the end whether it may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from trivet.ansible import load_environment
from trivet.api.deploy import BuildSettings, Deploys, Source, planned
from trivet.deploy.source import Opened
from trivet.errors import BuildError, InputError, LeaseHeld, TrivetError
from trivet.model import Environment
from trivet.push import activity, repository, words
from trivet.push.activity import Activity, Record, activities
from trivet.push.client import Client
from trivet.push.refs import Push, push_of, refs_of
from trivet.push.settings import ACTIVITIES, CONVERGE, Project, read_settings
from trivet.push.turn import Queue, overtaken
from trivet.rotation.rotations import refuse
from trivet.run.stop import StopRequest

__all__ = ["Client", "ClientGone", "Output", "Record", "receive"]


class ClientGone(TrivetError):
    """Who pushed has gone away before anything was changed."""


@dataclass(slots=True)
class Output:
    """Where the lines of a push go: to the client, as long as it listens.

    :param write: takes a line; raises OSError when the client is gone.
    :param committed: from now on a client that has gone away changes nothing.
    """

    write: Callable[[str], None]
    committed: bool = False
    gone: bool = False

    def __call__(self, line: str) -> None:
        """Tell a line.

        :raises ClientGone: what goes on can be broken off.
        """
        if self.gone:
            return
        try:
            self.write(line)
        except OSError as error:
            self.gone = True
            if not self.committed:
                raise ClientGone("the client has gone away") from error


def receive(name: str, lines: Iterable[str], *, by: str, quarantine: str, output: Output) -> bool:
    """Build and deploy what a push brings, and say whether its branches may move.

    :param name: of the project.
    :param lines: what Git gives to ``pre-receive``.
    :param by: who pushes.
    :param quarantine: folder with the new objects.
    :param output: takes each line of the log; the last is the verdict.
    """
    settings = read_settings()
    try:
        project = settings.project(name)
        push = push_of(refs_of(lines), project)
    except TrivetError as error:
        output(f"E: {error.message}")
        output("Push refused: nothing was changed")
        return False
    if push is None:
        output("Nothing to deploy: no branch of an environment moves")
        return True
    kept = Activity.begin(ACTIVITIES, output, kind="push", project=name, push=push, by=by or "an unknown person")
    return _Receipt(project, push, kept, output, settings.queue_seconds).taken(quarantine)


class _Receipt:
    """One push, from its commit to the verdict."""

    def __init__(self, project: Project, push: Push, kept: Activity, output: Output, seconds: float) -> None:
        self._project = project
        self._push = push
        self._kept = kept
        self._output = output
        self._objects = ""
        self._queue = Queue(ACTIVITIES, push.environment, seconds, kept.line)

    def taken(self, quarantine: str) -> bool:
        """Do it; whether it is live, with the verdict told and kept."""
        try:
            with repository.opened(self._project.repository, quarantine) as objects:
                self._objects = str(objects)
                self._through(objects)
        except TrivetError as error:
            return self._failed(error)
        except BaseException as error:
            self._kept.end(activity.FAILED, f"{type(error).__name__}: {error}")
            raise
        verdict = f"{self._push.environment} serves {self._push.new[:7]}"
        self._kept.line(verdict)
        self._kept.end(activity.DONE, verdict)
        return True

    def _failed(self, error: TrivetError) -> bool:
        # A build has told why it failed, and where its log is: that is for those who may enter this machine.
        if not isinstance(error, BuildError):
            self._kept.line(f"E: Error: {error.message}")
            if error.next_command:
                self._kept.line(f"  next: {error.next_command.replace(self._objects, '.')}")
        if self._output.committed:
            state, verdict = activity.FAILED, f"Push failed: {self._push.branch} stays where it was"
        else:
            state = activity.REFUSED
            verdict = f"Push refused: nothing was changed, {self._push.environment} goes on serving what it served"
        self._kept.line(verdict)
        self._kept.end(state, f"{verdict}: {error.message}")
        return False

    def _through(self, objects: Path) -> None:
        push, say = self._push, self._kept.line
        environment = _environment(push)
        say("Validating submodules")
        with Source(objects, ref=push.new).opened(environment, say) as opened:
            say(f"Processing activity: {self._kept.record.by} pushed to {push.branch[:1].upper()}{push.branch[1:]}")
            number = repository.commits(objects, push.old, push.new)
            say(f"    Found {number} new commit{'' if number == 1 else 's'}" if number else "    Found no new commits")
            with self._queue.turn(self._kept.record.id):
                if other := overtaken(self._kept.record, activities(ACTIVITIES, push.environment)):
                    raise InputError(
                        f"{other.by} pushed {other.new[:7]} to {push.branch} meanwhile", "git pull, and push again"
                    )
                self._deploy(environment, opened)

    def _deploy(self, environment: Environment, opened: Opened) -> None:
        with Deploys(environment) as deploys:
            while True:
                self._queue.until(deploys.holder)
                try:
                    self._live(environment, deploys, opened)
                    return
                except LeaseHeld:
                    # Somebody was faster after the last look.
                    if self._output.committed:
                        raise

    def _live(self, environment: Environment, deploys: Deploys, opened: Opened) -> None:
        say, push = self._kept.line, self._push
        settings = BuildSettings(project=self._project.name)
        ready = planned(environment, deploys, opened, settings, lambda line: say(f"    {line}"))
        refuse(ready.plan)
        say(f"Redeploying environment {push.environment}")
        told = words.Deploying(ready.plan.application, say)
        bound = deploys.bound(told, StopRequest())
        self._output.committed = True
        report = bound.apply(ready.plan, ready.composed, ready.release)
        for line in words.configuration(opened.project, [opened.application]):
            say(line)
        for line in words.routes(opened.project, environment.domains, environment.name):
            say(line)
        for node, why in report.lost.items():
            say(f"  W: {node} was lost meanwhile ({why}): it takes the release when it is back")


def _environment(push: Push) -> Environment:
    """The environment that a branch goes to.

    :raises InputError: its inventory did not come here yet.
    """
    try:
        return load_environment(push.environment)
    except InputError as error:
        raise InputError(
            f"the environment of {push.branch} cannot be read here: {error.message}",
            CONVERGE.replace("ENV", push.environment),
        ) from error
