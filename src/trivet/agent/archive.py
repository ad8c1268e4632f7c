# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as one file. Used on the controller: by the role that installs it, and to tell whether a node has this one.

The lookup plugin loads this module by its path, so it imports nothing of Trivet.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

PACKAGES = ("agent", "health", "node", "services", "verdict")
CONTROLLERS = ("turn.py", "faults.py")
"""Parts of a service that only the controller has."""
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


def build(root: Path) -> bytes:
    """The zip application from the package ``trivet`` in ``root``; the same source gives the same bytes.

    With another zlib the bytes may differ; what it starts with (``starter``) does not.
    """
    sources = _sources(root)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({**sources, "__main__.py": _starter(sources)}.items()):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


def starter(root: Path) -> str:
    """What the zip application of the package in ``root`` starts with: it names all sources by their checksum."""
    return _starter(_sources(root))


def _sources(root: Path) -> dict[str, str]:
    """The sources by their name in the archive."""
    contents = {"trivet/__init__.py": PACKAGE}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if path.name in CONTROLLERS and package == "services":
                continue
            contents[f"trivet/{path.relative_to(root).as_posix()}"] = path.read_text(encoding="utf-8")
    return contents


def _starter(sources: dict[str, str]) -> str:
    return STARTER.format(key=hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()[:16])
