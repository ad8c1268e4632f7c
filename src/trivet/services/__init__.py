# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a node, one folder each. ``contract.py`` of a folder says what the rest of the house may rely on.

This floor imports nothing of Trivet and the standard library alone: the agent, the controller and the lookup plugin
``trivet.commerce.contract`` read the same files.
"""
