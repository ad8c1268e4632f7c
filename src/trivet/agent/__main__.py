# SPDX-License-Identifier: GPL-3.0-or-later
"""``trivet-agent``: one JSON answer on standard output; exit code 0, or 1 with ``{"error": …}``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from trivet.agent.commands import answer

DONE_WITHOUT = {"serve": ("ssl",), "heal": ("_hashlib",)}
"""Parts of OpenSSL that a command which runs all the time does not need, and that the standard library loads when they
are there, at 4 MiB a process: ``asyncio`` does without TLS, ``hashlib`` and ``hmac`` with Python's own SHA-256."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    for name in DONE_WITHOUT.get(next(iter(words), ""), ()):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # An import of it fails, and is expected to.
    try:
        code, said = answer(words)
    except KeyboardInterrupt:
        return 130
    print(json.dumps(said))
    return code


if __name__ == "__main__":
    sys.exit(main())
