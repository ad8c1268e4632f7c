# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks over what a build made, before it is compressed."""

from __future__ import annotations

from trivet.build.archive import Rules, refuse_size
from trivet.build.work import Work

LARGE = "find /app -xdev -type f -size +{bytes}c -printf '%s %P\\n' | head -n 1"
TOTAL = "du --summarize --apparent-size --block-size=1 /app | cut -f 1"
FIRST_ENTRY = 'find "/app/$(cat)" -mindepth 1 -maxdepth 1 -print -quit 2>/dev/null'


def check_result(work: Work, rules: Rules) -> None:
    """Refuse what is too large, and warn of what a mount will hide.

    Raises:
        BuildError: A file, or all together, is larger than a release may be.
    """
    work.log.step("Executing pre-flight checks...")
    large = work.builder.ask_script(LARGE.format(bytes=rules.largest_file_bytes), "", user=0).stdout.strip()
    if large:
        size, _, name = large.partition(" ")
        refuse_size(f"app/{name}", int(size), 0, rules)
    total = work.builder.ask_script(TOTAL, "", user=0).stdout.strip()
    refuse_size("app", 0, int(total), rules)
    for mount in work.application.mounts:
        if work.builder.ask_script(FIRST_ENTRY, mount.path, user=0).stdout.strip():
            work.log.warning(f"The mount '/{mount.path}' has a path that overlaps with a non-empty folder.")
            work.log.warning("What the repository or the build hook put there will not be seen at runtime.")
