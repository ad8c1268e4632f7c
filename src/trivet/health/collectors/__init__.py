# SPDX-License-Identifier: GPL-3.0-or-later
"""One module per service; each has ``collect(config, deadline)``, which gathers its facts on the node."""
