# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows what healthy is.

``collect`` runs on a node and gathers facts; ``verdict`` judges the facts of all nodes, without touching
anything; ``holders`` says who holds which role. Standard library only: the nodes run this from a zipapp.
"""
