# SPDX-License-Identifier: GPL-3.0-or-later
"""What every change shares: the lease, the journal, the wish to stop, the events, the report.

Rotations, scaling, converge, recover and clean are made with it; it knows none of them.
"""
