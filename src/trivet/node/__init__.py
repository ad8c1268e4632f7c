# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of a node share with the services' own parts. Standard library only."""
