# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as one file, built on the controller from the source that stands beside the collection."""

from __future__ import annotations

DOCUMENTATION = r"""
name: agent_zipapp
author: Trivet
version_added: 0.1.0
short_description: The node agent as a zip application, in base64
description:
  - Packs C(trivet.health), C(trivet.node), C(trivet.services), C(trivet.verdict) and C(trivet.agent)
    into one zip application.
  - They use the standard library alone.
  - The source is C(src/trivet) of the collection, else the installed Python package C(trivet).
  - The same source gives the same bytes, so that a node's file changes only when the agent does.
options: {}
"""

EXAMPLES = r"""
- name: Install the agent
  trivet.commerce.files:
    files:
      - content_base64: "{{ lookup('trivet.commerce.agent_zipapp') }}"
        dest: /usr/local/lib/trivet/agent.pyz
"""

RETURN = r"""
_raw:
  description: The zip application in base64.
  type: list
  elements: str
"""

import base64
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.trivet.commerce.plugins.plugin_utils.source import package_root


def archive_module(root: Path) -> ModuleType:
    """The module ``trivet.agent.archive`` of that package, which need not be importable by its name."""
    spec = importlib.util.spec_from_file_location("trivet_agent_archive", root / "agent" / "archive.py")
    if spec is None or spec.loader is None:
        raise AnsibleLookupError(f"{root}/agent/archive.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LookupModule(LookupBase):
    """Called without terms."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Build the agent."""
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleLookupError("agent_zipapp takes no terms")
        root = package_root()
        return [base64.b64encode(archive_module(root).build(root)).decode("ascii")]
