# SPDX-License-Identifier: GPL-3.0-or-later
"""Who ends a playbook at Ctrl-C: ansible-runner, or the handlers of the change that runs it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible_runner
import pytest
from ansible_runner.utils import signal_handler

from trivet.ansible import run_on_controller, run_playbook
from trivet.errors import PlaybookError
from trivet.model import Environment, Node

ENVIRONMENT = Environment(
    name="shop",
    inventory=Path("inventories/shop"),
    nodes=(Node("shop-1", 1, "192.0.2.11"),),
    gateways=("192.0.2.21",),
    size="6",
    domains=("shop.example",),
)


@pytest.fixture
def pressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Ctrl-C did while a playbook ran, with ansible-runner's handlers where it sets them and no Ansible."""
    seen: list[str] = []

    def run(*, cancel_callback: Any, **_options: Any) -> SimpleNamespace:
        # As ansible_runner.interface does it.
        cancelled = signal_handler() if cancel_callback is None else cancel_callback
        signal.raise_signal(signal.SIGINT)
        seen.append("the playbook is ended" if cancelled() else "the playbook goes on")
        return SimpleNamespace(rc=0)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRIVET_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setattr(ansible_runner, "run", run)
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("the change is asked to stop"))
    yield seen
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_during_a_step_of_a_cloud_asks_the_change_to_stop_and_ends_no_step(pressed: list[str]) -> None:
    run_on_controller("providers/aws_stop.yml", {})
    assert pressed == ["the change is asked to stop", "the playbook goes on"]


def test_ctrl_c_during_a_step_of_a_change_ends_no_step(pressed: list[str]) -> None:
    run_playbook(ENVIRONMENT, "rotation/stop.yml", interruptible=False)
    assert pressed == ["the change is asked to stop", "the playbook goes on"]


def test_ctrl_c_ends_a_playbook_that_may_be_ended_and_leaves_the_callers_handler_for_the_next(
    pressed: list[str],
) -> None:
    run_playbook(ENVIRONMENT, "site.yml")
    signal.raise_signal(signal.SIGINT)
    assert pressed == ["the playbook is ended", "the change is asked to stop"]


def test_a_loop_fails_with_the_item_and_its_words(tmp_path: Path) -> None:
    playbook = tmp_path / "loop.yml"
    playbook.write_text("""\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Ask every node
      ansible.builtin.fail:
        msg: "{{ item }} does not answer"
      when: item == 'shop-2'
      loop: [shop-1, shop-2]
""")
    with pytest.raises(PlaybookError, match="Ask every node: failed: shop-2: shop-2 does not answer"):
        run_on_controller(str(playbook), {})
