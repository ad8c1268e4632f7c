# SPDX-License-Identifier: GPL-3.0-or-later
"""The projects that a grid machine keeps, checked."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grid_projects
author: Trivet
version_added: 0.2.0
short_description: The projects of C(trivet_projects), checked
description:
  - The check is that of the Python package C(trivet), so that C(trivet) and a playbook refuse the same.
options:
  _terms:
    description: The value of C(trivet_projects).
    required: true
"""

EXAMPLES = r"""
- name: Check the projects
  ansible.builtin.set_fact:
    projects: "{{ lookup('trivet.commerce.grid_projects', trivet_projects) }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary, C(projects) by name with C(branches) and C(pushers), and C(keys), each once with its C(name).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.trivet.commerce.plugins.plugin_utils.source import module


class LookupModule(LookupBase):
    """Called with the value of ``trivet_projects``."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Check and give the projects."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleLookupError("grid_projects takes one term, the value of trivet_projects")
        projects = module("trivet.model.projects")
        try:
            found = projects.projects_of(terms[0], "the inventory")
        except module("trivet.errors").InputError as error:
            raise AnsibleLookupError(error.message) from error
        return [
            {
                "projects": {
                    name: {"branches": dict(project.branches), "pushers": list(project.pushers)}
                    for name, project in found.items()
                },
                "keys": [
                    {"name": name, "key": key}
                    for name, key in dict.fromkeys(pair for project in found.values() for pair in project.keys)
                ],
            }
        ]
