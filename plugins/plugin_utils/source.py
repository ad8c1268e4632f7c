# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python source of Trivet that belongs to this collection."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ansible.errors import AnsibleError


def package_root() -> Path:
    """The folder of the package ``trivet``: ``src/trivet`` of the collection, else that of the installed package.

    Raises:
        AnsibleError: neither the collection nor the interpreter has it.
    """
    beside = Path(__file__).resolve().parents[2] / "src" / "trivet"
    if (beside / "agent").is_dir():
        return beside
    spec = importlib.util.find_spec("trivet")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(location) / "agent").is_dir():
            return Path(location)
    raise AnsibleError(f"the source of Trivet is neither in {beside} nor in an installed package «trivet»")


def module(name: str) -> ModuleType:
    """A module of the package ``trivet``. One of standard library alone any Python that runs Ansible can import."""
    folder = str(package_root().parent)
    if "trivet" not in sys.modules and folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def registry() -> ModuleType:
    """The contracts of all services."""
    return module("trivet.services.registry")
