# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB with Galera: every node has all data, one node takes the writes."""
