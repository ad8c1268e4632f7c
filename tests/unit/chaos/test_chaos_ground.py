# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hand that breaks things reads from the lab's machine."""

from __future__ import annotations

import pytest

from trivet.chaos.ground import referenced_bytes
from trivet.errors import GridError

# Printed by `btrfs qgroup show --raw --sync -f` of btrfs-progs 6.2.
SHOWN = """Qgroupid    Referenced    Exclusive   Path
--------    ----------    ---------   ----
0/260       2457014272   2176610304   containers/demo-3
"""


def test_the_quota_says_what_a_disk_holds() -> None:
    assert referenced_bytes(SHOWN, "260") == 2457014272


def test_a_disk_that_is_not_there_is_not_bounded() -> None:
    with pytest.raises(GridError, match="subvolume 26 holds"):
        referenced_bytes(SHOWN, "26")
