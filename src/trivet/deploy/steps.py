# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a deploy is done: by the agents of the nodes, all at once where that is safe.

A node that is lost meanwhile is left out: it takes the recorded release when it is back, before it serves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trivet.deploy.database import Account, accounts_script
from trivet.errors import ChangeHalted, RemoteError
from trivet.health.findings import State
from trivet.model import Environment, Node
from trivet.remote import Nodes, observe
from trivet.services.application.instance import Instance

SHIP_SECONDS = 1800.0
UNPACK_SECONDS = 900.0
PREPARE_SECONDS = 300.0
SWITCH_SECONDS = 180.0
ASK_SECONDS = 300.0
HOOK_SECONDS = 3600.0
IN_FLIGHT_SECONDS = 60.0
"""How long those that wait wait for those in flight: less than a request is held at all."""
ANNOUNCED_SECONDS = 3600
HEALTHY_SECONDS = 180.0
POLL_SECONDS = 0.5
SERVING = ("web", "application")
UPGRADE_NEEDED = 2
"""Exit code of Magento's ``setup:db:status`` and ``app:config:status`` (2.4.7, DbStatusCommand)."""
MAGENTO_QUESTIONS = ("php bin/magento setup:db:status", "php bin/magento app:config:status")
MAGENTO_SETTINGS = "app/etc/config.php"
"""Names the modules of a release. In its mount it is the old release's until the deploy hook has run: asked with that
one, a release with a new module would say that it needs nothing."""

Tell = Callable[[str, str], None]
"""Takes a line of progress: the node that it is about, and the words."""


class Steps:
    """The steps on an environment.

    :param owner: the run, recorded with every flag that is set.
    :param tell: takes a line of progress.
    """

    def __init__(self, environment: Environment, nodes: Nodes, owner: str, tell: Tell) -> None:
        self._environment = environment
        self._nodes = nodes
        self._owner = owner
        self._tell = tell
        self._lost: dict[str, str] = {}

    @property
    def lost(self) -> dict[str, str]:
        """Nodes that were lost meanwhile, and how that showed."""
        return dict(self._lost)

    @property
    def present(self) -> list[Node]:
        """The nodes that take part: every machine that customers get, but those that were lost."""
        serving = [node for node in self._environment.machines if node.in_service]
        return [node for node in serving if node.name not in self._lost]

    def ship(self, release: str, archive: Path, sha256: str) -> None:
        """Bring the archive to the shared volume, and the code to every node."""
        command = ["trivet-agent", "release", "receive", release, "--sha256", sha256]
        self._on_one(lambda node: self._nodes.send(node, command, archive, SHIP_SECONDS), command)
        self._everywhere("release", "unpack", release, "--sha256", sha256, timeout=UNPACK_SECONDS)

    def prepare(self, instance: Instance, accounts: Sequence[Account]) -> None:
        """Make what the instance needs, and start it beside the other one on every node."""
        if accounts:
            command = ["mariadb", "--batch", "--delimiter=//"]
            self._on_one(lambda node: self._nodes.send(node, command, accounts_script(accounts)), command, agent=False)
        described = json.dumps(instance.to_dict())
        words = ["trivet-agent", "release", "mounts"]
        self._on_one(lambda node: self._nodes.send(node, words, described), words)
        words = ["trivet-agent", "release", "prepare"]
        answers = self._each(
            self.present, lambda node: self._nodes.send(node, words, described, PREPARE_SECONDS), words[1:]
        )
        self._need_answers(answers, health_page=None)

    def restore(self, instance: str) -> None:
        """Start an instance that served before beside the other one on every node."""
        answers = self._everywhere("release", "restore", instance, timeout=PREPARE_SECONDS)
        self._need_answers(answers, health_page=None)

    def ask(self, instance: str, hold: str, before: str | None) -> tuple[bool, str]:
        """Whether requests must wait for the deploy hook, and why, in words.

        :param hold: ``always``, ``never``, ``auto`` or a command (exit code 0: no, 2: yes).
        :param before: the instance that serves; None when this is the first.
        :raises ChangeHalted: the release does not say.
        """
        if hold == "always":
            return True, "the project says so"
        if hold == "never":
            return False, "the project says so"
        questions: Sequence[str] = (hold,)
        if hold == "auto":
            if self._asked(instance, "test -f bin/magento") != 0:
                return True, "the release has nothing that could be asked"
            if before is None:
                # What is not installed yet ends each question with 1, as any failure does.
                return True, "it is the first release here"
            questions = MAGENTO_QUESTIONS
        for question in questions:
            code = self._asked(instance, question)
            if code == UPGRADE_NEEDED:
                return True, f"`{question}` says that it is needed"
            if code != 0:
                raise ChangeHalted(f"`{question}` ended with status code {code} in the new release")
        return False, "the new release needs no change of the database"

    def _asked(self, instance: str, question: str) -> int:
        node = self.present[0]
        options = ["--timeout", str(ASK_SECONDS), "--built", MAGENTO_SETTINGS]
        words = ["trivet-agent", "release", "run", instance, *options, "--", "sh", "-c", question]
        result = self._nodes.follow(node, words, lambda line: self._tell(node.name, line), ASK_SECONDS + 30)
        return int(self._nodes.answer(result, words[1:])["code"])

    def hold(self) -> int:
        """Have new requests wait in every proxy; how many are still in flight after the limit."""
        proxies = [node for node in self._environment.nodes if node.name not in self._lost]
        self._tell("all", "requests wait")
        words = ("proxy", "hold", "web", "--wait", str(IN_FLIGHT_SECONDS))
        answers = self._each(proxies, lambda node: self._nodes.asked(node, words, IN_FLIGHT_SECONDS + 30), words)
        self.announce()
        return sum(int(answer["in_flight"]) for answer in answers.values())

    def rest(self) -> None:
        """Have no cron begin on any node, and end those that run, and the workers."""
        words = ("cron", "pause", "--owner", self._owner, "--expires", str(ANNOUNCED_SECONDS))
        self._on_one(lambda node: self._nodes.asked(node, words), words)
        self._everywhere("release", "rest", timeout=SWITCH_SECONDS)

    def work(self) -> None:
        """Have the workers of what serves run on every node, and crons begin when they are due."""
        self._everywhere("release", "work", timeout=SWITCH_SECONDS)
        words = ("cron", "resume")
        self._on_one(lambda node: self._nodes.asked(node, words), words)

    def release(self) -> None:
        """Let the requests go that wait."""
        proxies = [node for node in self._environment.nodes if node.name not in self._lost]
        self._each(proxies, lambda node: self._nodes.asked(node, ("proxy", "release", "web")), ("proxy", "release"))
        self._each(self.present, lambda node: self._nodes.asked(node, ("withdraw",)), ("withdraw",))

    def announce(self) -> None:
        """Have a page with another status be the change's doing on every node."""
        words = ("announce", "--owner", self._owner, "--expires", str(ANNOUNCED_SECONDS))
        self._each(self.present, lambda node: self._nodes.asked(node, words), words)

    def hook(self, instance: str, hook: str, name: str) -> float:
        """Run a hook on a node; its seconds.

        :raises ChangeHalted: it failed.
        """
        node = self._environment.node(name)
        words = ["trivet-agent", "release", "hook", instance, hook, "--timeout", str(HOOK_SECONDS)]
        result = self._nodes.follow(node, words, lambda line: self._tell(name, line), HOOK_SECONDS + 60)
        try:
            answer = self._nodes.answer(result, words[1:4])
        except RemoteError as error:
            raise ChangeHalted(f"{name}: {error.message.rpartition(': trivet-agent ')[2] or error.message}") from error
        return float(answer["seconds"])

    def warm(self, instance: str) -> None:
        """Have the instance read its settings anew, and answer its health page with 200 on every node.

        :raises ChangeHalted: it does not, somewhere.
        """
        answers = self._everywhere("release", "warm", instance, timeout=PREPARE_SECONDS)
        application = self._environment.application
        self._need_answers(answers, health_page=application.health_page if application else "")

    def record(self, instance: str) -> None:
        """Have every node that comes back take this instance."""
        words = ("release", "record", instance)
        self._on_one(lambda node: self._nodes.asked(node, words), words)

    def switch(self, instance: str, *, at_once: bool) -> None:
        """Have customers get the instance from every node.

        :param at_once: on all nodes together, since nobody is served meanwhile; else one after the other.
        """
        words = ("release", "serve", instance)
        if at_once:
            self._everywhere(*words, timeout=SWITCH_SECONDS)
            return
        for node in self.present:
            answers = self._each([node], lambda one: self._nodes.asked(one, words, SWITCH_SECONDS), words)
            if answers:
                self._tell(node.name, f"serves {instance}")

    def retire(self, instance: str) -> None:
        """End what served before."""
        self._everywhere("release", "retire", instance, timeout=SWITCH_SECONDS)

    def discard(self, instance: str) -> None:
        """Take a candidate back on every node that answers."""
        words = ("release", "discard", instance)
        for result in self._nodes.at_once(lambda node: self._nodes.asked(node, words, SWITCH_SECONDS), self.present):
            if result.code != 0:
                self._tell(result.node, f"the new instance was not taken back: {result.error or result.output}")

    def verdict(self) -> None:
        """Wait until nothing is wrong with the nodes that take part.

        :raises ChangeHalted: when something still is after HEALTHY_SECONDS.
        """
        deadline = time.monotonic() + HEALTHY_SECONDS
        while wrong := self._wrong():
            if time.monotonic() > deadline:
                raise ChangeHalted(
                    f"waited {HEALTHY_SECONDS:.0f} s in vain for a healthy verdict: {'; '.join(wrong[:3])}",
                    f"trivet status {self._environment.label}",
                )
            time.sleep(POLL_SECONDS)

    def _wrong(self) -> list[str]:
        """What is wrong, in words. A lost node leaves its marks on every cluster: of the others their pages count."""
        counted = [
            item
            for item in observe(self._nodes).verdict.findings
            if item.node not in self._lost and (not self._lost or item.service in SERVING)
        ]
        wrong = [item for item in counted if item.state in (State.BROKEN, State.UNKNOWN)]
        return [f"{item.node or 'cluster'}: {item.service}: {item.reason}" for item in wrong]

    def _everywhere(self, *words: str, timeout: float) -> dict[str, dict[str, Any]]:
        return self._each(self.present, lambda node: self._nodes.asked(node, words, timeout), words)

    def _each(
        self, nodes: Iterable[Node], question: Callable[[Node], Any], words: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """The agents' answers by node; one that is not reached is lost from then on.

        :raises ChangeHalted: an agent refuses, or no majority of the service nodes is left.
        """
        answers = {}
        for result in self._nodes.at_once(question, nodes):
            if not result.reached:
                self._lose(result.node, result.error)
                continue
            try:
                answers[result.node] = self._nodes.answer(result, words)
            except RemoteError as error:
                raise ChangeHalted(error.message) from error
        return answers

    def _lose(self, name: str, why: str) -> None:
        self._lost[name] = why
        self._tell(name, f"was lost ({why}): the deploy goes on without it")
        left = [node for node in self._environment.nodes if node.name not in self._lost]
        if len(left) * 2 <= len(self._environment.nodes):
            raise ChangeHalted(f"no majority of the nodes is left: {', '.join(self._lost)} cannot be reached")

    def _on_one(self, question: Callable[[Node], Any], words: Sequence[str], *, agent: bool = True) -> None:
        """Ask the first service node that can be reached.

        :raises ChangeHalted: it refuses.
        """
        for node in [item for item in self.present if item in self._environment.nodes]:
            result = question(node)
            if not result.reached:
                self._lose(node.name, result.error)
                continue
            if result.code != 0 and not agent:
                raise ChangeHalted(f"{node.name}: {words[0]}: {result.error or result.output}")
            try:
                if agent:
                    self._nodes.answer(result, words)
            except RemoteError as error:
                raise ChangeHalted(error.message) from error
            return

    def _need_answers(self, answers: dict[str, dict[str, Any]], health_page: str | None) -> None:
        """Refuse an instance that does not answer as :func:`complaint` says.

        :raises ChangeHalted: naming the page.
        """
        for name, answer in answers.items():
            for page in answer["warmed"]:
                if (said := complaint(page, health_page)) is not None:
                    raise ChangeHalted(
                        f"{name}: {page['path']} of the new instance {said}",
                        f"trivet logs {self._environment.label} php --node {name}",
                    )
                self._tell(name, f"{page['path']}: {page['status']} in {page['seconds'] * 1000:.0f} ms")


def complaint(page: Mapping[str, Any], health_page: str | None) -> str | None:
    """What is wrong with a page of a new instance, in words; None when nothing is.

    :param page: as the agent has it.
    :param health_page: must be there, as no proxy sends anything to a node without it; None while settings of the
        application may be missing yet.
    """
    status = page["status"]
    if status == 0:
        return f"does not come: {page['error']}"
    if health_page is None:
        wrong = status in (502, 504)
    elif page["path"] == health_page:
        wrong = status != 200
    else:
        wrong = status >= 500
    return f"answers {status}" if wrong else None
