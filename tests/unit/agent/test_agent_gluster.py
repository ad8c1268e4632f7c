# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from ``gluster volume heal … info --xml``."""

from __future__ import annotations

import pytest

from trivet.node.errors import AgentError
from trivet.services.files.command import pending_entries


def answer(*counts: str) -> str:
    bricks = "".join(f"<brick><name>b</name><numberOfEntries>{count}</numberOfEntries></brick>" for count in counts)
    return f"<cliOutput><healInfo><bricks>{bricks}</bricks></healInfo></cliOutput>"


@pytest.mark.parametrize(
    ("counts", "pending"), [(("0", "0", "0"), 0), (("0", "2", "3"), 5), (("0", "-", "0"), None), ((), None)]
)
def test_pending_entries(counts: tuple[str, ...], pending: int | None) -> None:
    assert pending_entries(answer(*counts)) == pending


def test_an_answer_that_is_no_xml_is_an_error() -> None:
    with pytest.raises(AgentError):
        pending_entries("Volume shared does not exist")
