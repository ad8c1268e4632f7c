# SPDX-License-Identifier: GPL-3.0-or-later
"""The HAProxy of each machine.

It has no word of its own in ``status``: what it does not reach is told with the service that it is for.
"""
