# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller brings to the grid machine: an inventory of its own, and wheels named by their source."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from ansible.plugins.loader import init_plugin_loader

from trivet.paths import collections_path

ROOT = Path(__file__).resolve().parents[3]
LISTING = {
    "_meta": {
        "hostvars": {
            "n1": {
                "ansible_host": "192.0.2.11",
                "ansible_ssh_private_key_file": "/home/anna/.ssh/id",
                "ansible_ssh_common_args": "-J bastion",
                "trivet_provider": "incus",
                "trivet_lab": "lab",
                "trivet_projects": {"shop": {}},
                "trivet_secrets": {"redis_password": "secret"},
                "template": "{{ ansible_host }}",
                "literal": {"__ansible_unsafe": "{{ not a template }}"},
                "plain": {"__ansible_unsafe": "text"},
            },
            "w1": {"ansible_host": "192.0.2.31"},
            "grid": {"ansible_host": "192.0.2.51"},
        }
    },
    "all": {"children": ["ungrouped", "trivet_nodes", "trivet_web", "trivet_grid"]},
    "trivet_nodes": {"hosts": ["n1"]},
    "trivet_web": {"children": ["trivet_web_serving"]},
    "trivet_web_serving": {"hosts": ["w1"]},
    "trivet_grid": {"hosts": ["grid"]},
}


def lookup(name: str) -> ModuleType:
    init_plugin_loader(collections_path().split(":"))
    spec = importlib.util.spec_from_file_location(name, ROOT / f"plugins/lookup/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_inventory_has_the_nodes_and_how_the_machine_reaches_them() -> None:
    made = lookup("grid_inventory").inventory_of(LISTING, ["trivet_secrets"], "/key", "/known")["all"]
    assert set(made["hosts"]) == {"n1", "w1"}
    assert made["children"]["trivet_nodes"]["hosts"] == {"n1": {}}
    assert made["children"]["trivet_web"]["children"] == {"trivet_web_serving": {}}
    assert made["children"]["trivet_web_serving"]["hosts"] == {"w1": {}}
    node = made["hosts"]["n1"]
    assert node["ansible_ssh_private_key_file"] == "/key"
    assert node["ansible_ssh_common_args"] == "-o UserKnownHostsFile=/known -o StrictHostKeyChecking=yes"
    assert node["trivet_provider"] == "none"
    assert not {"trivet_lab", "trivet_projects", "trivet_secrets"} & set(node)


def test_what_is_no_template_stays_none() -> None:
    node = lookup("grid_inventory").inventory_of(LISTING, [], "/key", "/known")["all"]["hosts"]["n1"]
    assert node["template"] == "{{ ansible_host }}"
    assert node["literal"] == "{% raw %}{{ not a template }}{% endraw %}"
    assert node["plain"] == "text"


def test_wheels_are_named_by_what_goes_into_them(tmp_path: Path) -> None:
    module = lookup("wheelhouse")
    for part in module.PARTS:
        path = tmp_path / part
        if "." in part:
            path.write_text("x")
        else:
            path.mkdir(parents=True)
            (path / "file.py").write_text("x")
    first = module.digest_of(tmp_path, "3.11")
    assert module.digest_of(tmp_path, "3.11") == first
    assert module.digest_of(tmp_path, "3.13") != first
    (tmp_path / "src/trivet/file.pyc").write_text("compiled")
    assert module.digest_of(tmp_path, "3.11") == first
    (tmp_path / "src/trivet/file.py").write_text("y")
    assert module.digest_of(tmp_path, "3.11") != first
