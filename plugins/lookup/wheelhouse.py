# SPDX-License-Identifier: GPL-3.0-or-later
"""Trivet and all that it needs as one tar file of wheels, made on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wheelhouse
author: Trivet
version_added: 0.2.0
short_description: Trivet with everything that it imports, as a tar file of wheels
description:
  - Builds a wheel of the checkout that the collection is part of, or takes the version that is installed, and downloads
    the wheels of all that it needs, by pip as it is configured on the controller.
  - The machine that installs them needs no way to a package registry.
  - The same source and the same Python give the same name, and are not fetched again.
options:
  _terms:
    description: Version of the Python that will run it, as C(3.11). It must be the controller's.
    required: true
"""

EXAMPLES = r"""
- name: Bring Trivet to the machine
  ansible.builtin.copy:
    src: "{{ lookup('trivet.commerce.wheelhouse', '3.11').file }}"
    dest: /opt/trivet/wheelhouse.tar
"""

RETURN = r"""
_raw:
  description: One dictionary, C(file) with the path of the tar file and C(digest) with its name.
  type: list
  elements: dict
"""

import hashlib
import importlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.trivet.commerce.plugins.plugin_utils.source import module

PARTS = (
    *("pyproject.toml", "requirements.lock", "galaxy.yml", "src/trivet", "meta", "roles", "playbooks", "plugins"),
    *("inventories", "packaging", "demo"),
)
"""What the wheel is made of, and what says which versions belong to it."""
LOCKED = "3.11"
"""The Python that requirements.lock was made with (bin/environment)."""


def digest_of(checkout: Path, python: str) -> str:
    """Twelve hex digits that change when the source or the Python does."""
    summed = hashlib.sha256(python.encode())
    for part in PARTS:
        root = checkout / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and path.suffix != ".pyc":
                summed.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    return summed.hexdigest()[:12]


def pip(*arguments: str) -> None:
    """Run the controller's pip, whose configuration names the registry.

    Raises:
        AnsibleLookupError: it fails, with its last words.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AnsibleLookupError(f"pip {arguments[0]} failed: " + " / ".join(done.stderr.strip().splitlines()[-4:]))


def fetched(folder: Path, checkout: Path, python: str) -> None:
    """Put the wheels into a folder."""
    if (checkout / "pyproject.toml").is_file():
        pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(checkout))
        wanted = str(next(folder.glob("trivet-*.whl")))
    else:
        wanted = f"trivet=={importlib.import_module('importlib.metadata').version('trivet')}"
    lock = checkout / "requirements.lock"
    locked = ["--constraint", str(lock)] if python == LOCKED and lock.is_file() else []
    pip("download", "--only-binary=:all:", "--dest", str(folder), *locked, wanted)


class LookupModule(LookupBase):
    """Called with the version of the Python that will run it."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, str]]:
        """Make the tar file, or find the one that was made of the same."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleLookupError("wheelhouse takes one term, the version of Python")
        python, here = str(terms[0]), f"{sys.version_info.major}.{sys.version_info.minor}"
        if python != here:
            raise AnsibleLookupError(
                f"the controller runs Trivet on Python {here}, and the grid machine has {python}: use a controller with"
                f" Python {python}, since wheels are made for one version"
            )
        checkout = Path(__file__).resolve().parents[2]
        digest = digest_of(checkout, python)
        file = module("trivet.paths").cache_directory() / "wheelhouse" / f"{digest}.tar"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
                folder, staged = Path(scratch) / "wheels", Path(scratch) / "wheels.tar"
                folder.mkdir()
                fetched(folder, checkout, python)
                with tarfile.open(staged, "w") as archive:
                    archive.add(folder, "wheels")
                staged.replace(file)
        return [{"file": str(file), "digest": digest}]
