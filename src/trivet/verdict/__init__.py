# SPDX-License-Identifier: GPL-3.0-or-later
"""The loops over the services that end in a verdict; what they know of a service is in its folder.

``collect`` gathers all facts of the node that it runs on, ``facts`` reads them back, ``assess`` judges those of all
nodes without touching anything. Standard library only: the nodes run this from a zipapp.
"""
