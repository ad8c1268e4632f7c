# SPDX-License-Identifier: GPL-3.0-or-later
"""The rotation: one node at a time is handed over, drained, stopped, resized, started, gated and brought back.

Python decides, Ansible and the agent act. ``plan`` and ``journal`` are pure; ``steps`` knows how each step is done.
"""
