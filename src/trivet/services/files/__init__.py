# SPDX-License-Identifier: GPL-3.0-or-later
"""GlusterFS: one volume with a copy on every node, mounted on every machine."""
