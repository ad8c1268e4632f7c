# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module trivet.commerce.units does about units in each state; it talks to no systemd here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

SOURCE = Path(__file__).resolve().parents[3] / "plugins" / "modules" / "units.py"
specification = importlib.util.spec_from_file_location("units", SOURCE)
assert specification and specification.loader
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)


def unit(name: str, state: str | None = None, enabled: bool | None = None) -> dict[str, object]:
    return {"name": name, "state": state, "enabled": enabled}


def present(active: str = "active", file: str = "enabled", reload: str = "no") -> dict[str, str]:
    return {"LoadState": "loaded", "ActiveState": active, "UnitFileState": file, "NeedDaemonReload": reload}


def test_reads_one_paragraph_for_each_unit() -> None:
    output = "ActiveState=active\nUnitFileState=enabled\n\nActiveState=inactive\nUnitFileState=\n"
    assert module.parsed(output) == [
        {"ActiveState": "active", "UnitFileState": "enabled"},
        {"ActiveState": "inactive", "UnitFileState": ""},
    ]


def test_does_nothing_about_what_is_as_wanted() -> None:
    units = [unit("a.service", "started", True), unit("b.service", "stopped", False)]
    states = [present(), present("inactive", "disabled")]
    commands = module.commands_for(units, states)
    assert not any(commands.values())
    assert module.changes(units, states, commands) == []


@pytest.mark.parametrize("active", ["inactive", "failed", "deactivating"])
def test_starts_what_is_down(active: str) -> None:
    units = [unit("a.service", "started")]
    commands = module.commands_for(units, [present(active)])
    assert commands["start"] == ["a.service"]
    assert module.changes(units, [present(active)], commands) == ["a.service"]


def test_waits_for_a_start_under_way_without_calling_it_a_change() -> None:
    units = [unit("a.service", "started")]
    commands = module.commands_for(units, [present("activating")])
    assert commands["start"] == ["a.service"]
    assert module.changes(units, [present("activating")], commands) == []


def test_waits_for_a_stop_under_way() -> None:
    assert module.commands_for([unit("a.service", "stopped")], [present("deactivating")])["stop"] == ["a.service"]


def test_leaves_a_failed_unit_that_shall_be_stopped() -> None:
    assert not any(module.commands_for([unit("a.service", "stopped")], [present("failed")]).values())


def test_a_unit_without_install_section_counts_as_enabled() -> None:
    assert not any(module.commands_for([unit("a.service", enabled=True)], [present(file="static")]).values())


class FakeSystemctl:
    """Answers `show` with what it is given and records every other call."""

    def __init__(self, states: list[dict[str, str]], failing: str = "") -> None:
        self.states = states
        self.failing = failing
        self.calls: list[list[str]] = []

    def __call__(self, _module: Any, words: list[str]) -> tuple[int, str, str]:
        if words[1] == "show":
            blocks = ["\n".join(f"{key}={value}" for key, value in state.items()) for state in self.states]
            return 0, "\n\n".join(blocks) + "\n", ""
        self.calls.append(words[1:])
        return (1, "", "Job for a.service failed") if words[1] == self.failing else (0, "", "")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: FakeSystemctl, **arguments: Any
) -> Any:
    monkeypatch.setattr(module.AnsibleModule, "run_command", lambda self, words: fake(self, words))
    monkeypatch.setattr(module.AnsibleModule, "get_bin_path", lambda self, name, required=False: f"/bin/{name}")
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_one_transaction_for_all_units(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeSystemctl([present("inactive", "disabled", "yes"), present("inactive")])
    units = [{"name": "a.service", "state": "started", "enabled": True}, {"name": "b.service", "state": "started"}]
    answer = run(monkeypatch, capsys, fake, units=units, wait=False)
    assert answer["changed_units"] == answer["queued"] == ["a.service", "b.service"]
    assert fake.calls == [
        ["daemon-reload"],
        ["enable", "--", "a.service"],
        ["start", "--no-block", "--", "a.service", "b.service"],
    ]


def test_check_mode_only_tells(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeSystemctl([present("inactive")])
    units = [{"name": "a.service", "state": "started"}]
    answer = run(monkeypatch, capsys, fake, units=units, _ansible_check_mode=True)
    assert answer["changed"] is True
    assert fake.calls == []


def test_a_failed_job_fails_the_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeSystemctl([present("inactive")], failing="start")
    answer = run(monkeypatch, capsys, fake, units=[{"name": "a.service", "state": "started"}])
    assert answer["failed"] is True
    assert "Job for a.service failed" in answer["msg"]
