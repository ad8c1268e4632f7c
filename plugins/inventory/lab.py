# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of a lab, from the state that ``trivet lab up`` leaves."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template

DOCUMENTATION = r"""
name: lab
short_description: Nodes of an embedded Trivet lab
version_added: 0.1.0
author: Trivet
description:
  - Reads the state of a lab made by C(trivet lab up) and gives its nodes the groups and variables of the environment
    whose topology they copy. Roles never know that they run in a lab.
options:
  plugin:
    description: Always C(trivet.commerce.lab).
    required: true
    choices: [trivet.commerce.lab]
  lab:
    description: Name of the lab.
    type: str
    default: lab
  directory:
    description: Where labs keep their state.
    type: path
    default: /var/lib/trivet/labs
    env:
      - name: TRIVET_LABS
"""

EXAMPLES = r"""
plugin: trivet.commerce.lab
lab: lab
"""


def trusted(value: Any) -> Any:
    """The value with its strings taken as templates: the lab copied them from an inventory of the operator's own."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return value


class InventoryModule(BaseInventoryPlugin):
    """Reads ``lab.json``; host variables win over group_vars, as the lab's own values must."""

    NAME = "trivet.commerce.lab"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        directory = os.path.join(self.get_option("directory"), self.get_option("lab"))
        state_file = os.path.join(directory, "lab.json")
        try:
            with open(state_file, encoding="utf-8") as stream:
                state = json.load(stream)
        except (OSError, ValueError) as error:
            name = self.get_option("lab")
            raise AnsibleParserError(f"no lab {name!r}: {error}. Bring it up with: trivet lab up {name}") from error
        for group in ("trivet_nodes", "trivet_web"):
            self.inventory.add_group(group)
        for node in state["nodes"]:
            self.inventory.add_host(node["name"], group="trivet_nodes")
            self._set_variables(node["name"], {"ansible_host": node["address"], "trivet_node_id": node["node_id"]})
            self._set_variables(node["name"], self._shared(state, directory))
        self._add_web_nodes(state, directory)
        if builder := state.get("builder"):
            self.inventory.add_group("trivet_grid")
            self.inventory.add_host(builder["name"], group="trivet_grid")
            self._set_variables(builder["name"], {"ansible_host": builder["address"]} | self._shared(state, directory))
        self._add_secrets(directory)

    def _add_web_nodes(self, state: dict[str, Any], directory: str) -> None:
        """The hosts of web-nodes.yml, which Trivet writes for every environment, with what the lab's nodes share."""
        path = os.path.join(directory, "inventory", "web-nodes.yml")
        if not os.path.exists(path):
            return
        groups = self.loader.load_from_file(path)["all"]["children"]["trivet_web"]["children"]
        for group, section in groups.items():
            self.inventory.add_group(group)
            self.inventory.add_child("trivet_web", group)
            for name, variables in section["hosts"].items():
                self.inventory.add_host(name, group=group)
                self._set_variables(name, self._shared(state, directory) | variables)

    @staticmethod
    def _shared(state: dict[str, Any], directory: str) -> dict[str, Any]:
        key = os.path.join(directory, "ssh", "id_ed25519")
        known = os.path.join(directory, "ssh", "known_hosts")
        return {
            **state["variables"],
            "ansible_user": "root",
            "ansible_ssh_private_key_file": key,
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
            "trivet_interface": "eth0",
            "trivet_size": state["size"],
            "trivet_gateway_addresses": state["gateways"],
            "trivet_provider": "incus",
            "trivet_lab": state["name"],
            "files_brick_on_root_filesystem": True,
            # The lab cannot reach the vendor's repository: the role takes the package that `lab up` built.
            "search_repository_local_directory": "/var/cache/trivet/search",
        }

    def _set_variables(self, name: str, variables: dict[str, Any]) -> None:
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, trusted(value))

    def _add_secrets(self, directory: str) -> None:
        path = os.path.join(directory, "inventory", "group_vars", "all", "secrets.yml")
        if not os.path.exists(path):
            return
        for variable, value in (self.loader.load_from_file(path) or {}).items():
            self.inventory.set_variable("all", variable, trusted(value))
