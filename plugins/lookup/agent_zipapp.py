# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as one file, built on the controller from the source that stands beside the collection."""

from __future__ import annotations

DOCUMENTATION = r"""
name: agent_zipapp
author: Trivet
version_added: 0.1.0
short_description: The node agent as a zip application, in base64
description:
  - Packs C(trivet.health) and C(trivet.agent), which use the standard library alone, into one zip application.
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
import hashlib
import importlib.util
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

PACKAGES = ("agent", "health")
STARTER = """\
import sys

# Where `trivet-agent compile` keeps what it made of these sources for this Python; without it they are used themselves.
sys.path.insert(0, f"/usr/local/lib/trivet/compiled/{key}-{{sys.implementation.cache_tag}}")

from trivet.agent.__main__ import main

sys.exit(main())
"""
PACKAGE = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest time that the zip format knows."""


def package_root() -> Path:
    """The folder of the package ``trivet``.

    Raises:
        AnsibleLookupError: neither the collection nor the interpreter has it.
    """
    beside = Path(__file__).resolve().parents[2] / "src" / "trivet"
    if (beside / "agent").is_dir():
        return beside
    spec = importlib.util.find_spec("trivet")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(location) / "agent").is_dir():
            return Path(location)
    raise AnsibleLookupError(f"the agent's source is neither in {beside} nor in an installed package «trivet»")


def build(root: Path) -> bytes:
    """The zip application from the package in ``root``; the same source gives the same bytes."""
    contents = {"trivet/__init__.py": PACKAGE}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            contents[f"trivet/{path.relative_to(root).as_posix()}"] = path.read_text(encoding="utf-8")
    key = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
    contents["__main__.py"] = STARTER.format(key=key)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


class LookupModule(LookupBase):
    """Called without terms."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Build the agent."""
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleLookupError("agent_zipapp takes no terms")
        return [base64.b64encode(build(package_root())).decode("ascii")]
