# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis: a cache and the sessions, each with one primary, and Sentinel, which chooses it."""
