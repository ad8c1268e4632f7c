# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one clear error, and nothing touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from trivet.ansible.settings import ansible_environment
from trivet.lab import LabState
from trivet.run.directories import journals_directory


def trivet(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["trivet", *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def journals(lab: LabState) -> int:
    return len(list(journals_directory(lab.name).glob("*.jsonl")))


def inventory(tmp_path: Path, **changes: object) -> Path:
    """A copy of the production inventory with changes to host production-2 or to all."""
    data = {
        "all": {
            "vars": {
                "trivet_environment": "production",
                "trivet_domains": ["shop.example"],
                "trivet_size": "6",
                "trivet_provider": "command",
                "trivet_gateway_addresses": ["192.0.2.21", "192.0.2.22", "192.0.2.23"],
            },
            "children": {
                "trivet_nodes": {
                    "hosts": {
                        f"production-{n}": {"ansible_host": f"192.0.2.{10 + n}", "trivet_node_id": n} for n in (1, 2, 3)
                    }
                }
            },
        }
    }
    hosts = data["all"]["children"]["trivet_nodes"]["hosts"]  # type: ignore[index]
    count = changes.pop("count", 3)
    for number in range(4, int(str(count)) + 1):
        hosts[f"production-{number}"] = {"ansible_host": f"192.0.2.{10 + number}", "trivet_node_id": number}
    for number in range(int(str(count)) + 1, 4):
        del hosts[f"production-{number}"]
    if "prefix" in changes:
        prefix = changes.pop("prefix")
        for number, host in enumerate(hosts.values(), 1):
            host["ansible_host"] = f"{prefix}.{90 + number}"
    if "address" in changes:
        hosts["production-2"]["ansible_host"] = changes.pop("address")
    data["all"]["vars"].update(changes)  # type: ignore[attr-defined]
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(data))
    return tmp_path / "hosts.yml"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"address": "192.0.2.11"}, "have the same address 192.0.2.11"),
        ({"count": 2}, "has 2 nodes"),
        ({"count": 4}, "has 4 nodes"),
        ({"trivet_size": "7"}, "size '7' is not in the table"),
    ],
)
def test_bad_inventories(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = inventory(tmp_path, **changes)
    result = trivet("converge", str(path))
    assert result.returncode == 2
    assert words in " ".join(result.stderr.split())


def test_an_unknown_environment_lists_those_that_there_are() -> None:
    # To a monitor it is unknown (3), to any other command bad input (2).
    assert trivet("status", "nowhere").returncode == 3
    result = trivet("converge", "nowhere")
    assert result.returncode == 2
    assert "unknown environment 'nowhere'" in result.stderr
    assert "production" in result.stderr


def test_an_unknown_size(lab: LabState) -> None:
    before = journals(lab)
    result = trivet("upscale", lab.name, "--size", "7", "--yes")
    assert result.returncode == 2
    assert "is not in the table" in " ".join(result.stderr.split())
    assert journals(lab) == before


def test_a_size_that_is_too_small(lab: LabState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same lab as another machine would have it, where size 6 is a quarter of the table's.
    shutil.copytree(lab.directory, tmp_path / lab.name)
    state = json.loads((tmp_path / lab.name / "lab.json").read_text())
    (tmp_path / lab.name / "lab.json").write_text(json.dumps({**state, "scale": 0.25}))
    monkeypatch.setenv("TRIVET_LABS", str(tmp_path))
    before = journals(lab)
    result = trivet("upscale", lab.name, "--size", "6", "--yes")
    assert result.returncode == 2
    assert "needs at least" in " ".join(result.stderr.split())
    assert journals(lab) == before


def test_unreachable_nodes_are_named_and_nothing_is_touched(lab: LabState, tmp_path: Path) -> None:
    # Free addresses of the lab's own network: nothing that a test sends leaves this machine.
    prefix = lab.address(0).removesuffix(".0")
    result = trivet("converge", str(inventory(tmp_path, prefix=prefix)))
    assert result.returncode == 2
    assert "not reachable over SSH: production-1" in " ".join(result.stderr.split())
    assert not (tmp_path / "group_vars").exists()


def test_a_missing_secret_is_named(lab: LabState, tmp_path: Path) -> None:
    # The lab's inventory with a vault file that lacks a secret, in another folder: the lab's own is not touched.
    copy = tmp_path / "inventory"
    shutil.copytree(lab.inventory, copy)
    (copy / "group_vars/all/secrets.yml").write_text("---\ntrivet_secrets: {redis_password: x}\n")
    subprocess.run(
        ["ansible-vault", "encrypt", str(copy / "group_vars/all/secrets.yml")],
        env={**os.environ, **ansible_environment()},
        check=True,
        capture_output=True,
    )
    result = trivet("upscale", str(copy), "--size", "12", "--yes")
    assert result.returncode == 2
    assert "trivet_secrets." in result.stderr and "is missing" in " ".join(result.stderr.split())


def test_status_is_json_for_programs(lab: LabState) -> None:
    result = trivet("status", lab.name, "--json")
    verdict = json.loads(result.stdout)
    assert result.returncode == 0, result.stdout
    assert verdict["state"] == "healthy"
