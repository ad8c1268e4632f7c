# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of a node: standard library only, shipped as one zipapp by the role ``agent``."""
