# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of an environment as one file for the grid machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grid_inventory
author: Trivet
version_added: 0.2.0
short_description: The inventory of an environment as one file, for the grid machine
description:
  - Asks C(ansible-inventory) for all that the inventory of this run says, and gives it as one inventory in JSON.
  - What C(group_vars/all/secrets.yml) has is left out; that file goes to the grid machine as it is, encrypted.
  - How the controller reaches a node (its key, its arguments of SSH) is replaced by how the grid machine does.
options:
  _terms:
    description: Path of the private key and of the known hosts, on the grid machine.
    required: true
"""

EXAMPLES = r"""
- name: Bring the inventory
  trivet.commerce.files:
    files:
      - content: "{{ lookup('trivet.commerce.grid_inventory', '/etc/trivet/key', '/etc/trivet/known_hosts').text }}"
        dest: /etc/trivet/inventories/production/hosts.json
"""

RETURN = r"""
_raw:
  description:
    - One dictionary, C(text) of the inventory, C(label) of the environment, C(secrets), the text of the vault file, and
      C(password), that of the vault.
  type: list
  elements: dict
"""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleLookupError
from ansible.parsing.vault import get_file_vault_secret
from ansible.plugins.lookup import LookupBase

GROUPS = ("trivet_nodes", "trivet_web")
CONTROLLERS_OWN = (
    *("ansible_ssh_private_key_file", "ansible_ssh_common_args", "ansible_private_key_file"),
    *("trivet_lab", "trivet_projects"),
)
"""Variables that hold for the controller alone."""


def inventory_of(listing: Mapping[str, Any], secret: Collection[str], key: str, known: str) -> dict[str, Any]:
    """The inventory for the grid machine.

    Args:
        listing: What ``ansible-inventory --list`` gave.
        secret: Variables that the vault file has.
        key: The private key, on the grid machine.
        known: The known hosts, on the grid machine.
    """
    hosts: dict[str, Any] = {}
    children: dict[str, Any] = {}
    for group in _groups(listing):
        section = listing.get(group, {})
        names = list(section.get("hosts", []))
        children[group] = {
            "hosts": {name: {} for name in names},
            "children": {name: {} for name in section.get("children", [])},
        }
        for name in names:
            variables = listing["_meta"]["hostvars"].get(name, {})
            kept = {k: plain(v) for k, v in variables.items() if k not in secret and k not in CONTROLLERS_OWN}
            hosts[name] = {
                **kept,
                # A grid machine deploys, and makes no machines.
                "trivet_provider": "none",
                "ansible_ssh_private_key_file": key,
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
            }
    return {"all": {"hosts": hosts, "children": children}}


def _groups(listing: Mapping[str, Any]) -> list[str]:
    found, queue = [], list(GROUPS)
    while queue:
        group = queue.pop(0)
        found.append(group)
        queue.extend(listing.get(group, {}).get("children", []))
    return found


def plain(value: Any) -> Any:
    """A value as an inventory has it: what Ansible holds to be no template stays none."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            text = str(value["__ansible_unsafe"])
            return "{% raw %}" + text + "{% endraw %}" if "{{" in text or "{%" in text else text
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


class LookupModule(LookupBase):
    """Called with the paths of the grid machine's key and known hosts."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, str]]:
        """Make the inventory of what this run was given."""
        self.set_options(var_options=variables, direct=kwargs)
        sources = [str(item) for item in (variables or {}).get("ansible_inventory_sources", [])]
        if len(terms) != 2 or len(sources) != 1:
            raise AnsibleLookupError("grid_inventory takes key and known hosts, and a run with one inventory")
        source = Path(sources[0])
        folder = source if source.is_dir() else source.parent
        secrets = folder / "group_vars" / "all" / "secrets.yml"
        vault = secrets.read_text(encoding="utf-8") if secrets.exists() else ""
        secret = list(self._loader.load_from_file(str(secrets)) or {}) if secrets.exists() else []
        listing = self._listing(source)
        text = json.dumps(inventory_of(listing, secret, *map(str, terms)), indent=1, sort_keys=True) + "\n"
        nodes = listing["trivet_nodes"]["hosts"]
        label = listing["_meta"]["hostvars"][nodes[0]].get("trivet_lab") or folder.resolve().name
        return [{"text": text, "label": str(label), "secrets": vault, "password": self._password()}]

    def _password(self) -> str:
        """The vault password, which a program may give."""
        file = constants.DEFAULT_VAULT_PASSWORD_FILE
        if not file:
            raise AnsibleLookupError("no file has the vault password: set ANSIBLE_VAULT_PASSWORD_FILE")
        secret = get_file_vault_secret(filename=file, loader=self._loader)
        secret.load()
        return bytes(secret.bytes).decode()

    @staticmethod
    def _listing(source: Path) -> dict[str, Any]:
        beside = Path(sys.executable).parent / "ansible-inventory"
        command = [str(beside) if beside.exists() else "ansible-inventory", "-i", str(source), "--list"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise AnsibleLookupError(f"{source} cannot be read: {' '.join(done.stderr.split())[-600:]}")
        listing: dict[str, Any] = json.loads(done.stdout)
        return listing
