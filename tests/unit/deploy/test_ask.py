# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether requests wait for a deploy hook."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from tests.unit.environments import environment
from trivet.deploy.steps import Steps
from trivet.errors import ChangeHalted
from trivet.model import Node
from trivet.remote import Nodes, RemoteResult

MAGENTO = {"test -f bin/magento": 0}
DATABASE, SETTINGS = "php bin/magento setup:db:status", "php bin/magento app:config:status"


class Asked:
    """Nodes that answer each question with an exit code."""

    def __init__(self, codes: Mapping[str, int]) -> None:
        self._codes = codes
        self.commands: list[Sequence[str]] = []

    def follow(self, node: Node, command: Sequence[str], line: Callable[[str], None], timeout: float) -> RemoteResult:
        self.commands.append(command)
        return RemoteResult(node.name, 0, json.dumps({"code": self._codes[command[-1]]}), "")

    def answer(self, result: RemoteResult, words: Sequence[str]) -> Any:
        return json.loads(result.output)


def ask(codes: Mapping[str, int], hold: str = "auto", before: str | None = "shop-1") -> tuple[bool, str]:
    nodes = Asked(codes)
    return Steps(environment(), cast(Nodes, nodes), "me", lambda _node, _text: None).ask("shop-2", hold, before)


def test_a_release_that_needs_no_change_does_not_wait() -> None:
    assert ask({**MAGENTO, DATABASE: 0, SETTINGS: 0})[0] is False


@pytest.mark.parametrize("codes", [{DATABASE: 2}, {DATABASE: 0, SETTINGS: 2}])
def test_a_release_that_needs_a_change_waits(codes: Mapping[str, int]) -> None:
    assert ask({**MAGENTO, **codes})[0] is True


def test_an_answer_that_is_none_halts_the_deploy() -> None:
    with pytest.raises(ChangeHalted, match="status code 1"):
        ask({**MAGENTO, DATABASE: 1})


def test_a_first_release_is_not_asked() -> None:
    assert ask(MAGENTO, before=None) == (True, "it is the first release here")


def test_what_the_project_says_is_not_asked() -> None:
    assert ask({}, hold="never")[0] is False
    assert ask({}, hold="always")[0] is True
    assert ask({"bin/ask": 2}, hold="bin/ask", before=None)[0] is True


def test_magento_is_asked_with_the_modules_of_the_new_release() -> None:
    nodes = Asked({**MAGENTO, DATABASE: 0, SETTINGS: 0})
    Steps(environment(), cast(Nodes, nodes), "me", lambda _node, _text: None).ask("shop-2", "auto", "shop-1")
    assert all(list(command[6:8]) == ["--built", "app/etc/config.php"] for command in nodes.commands)
