# SPDX-License-Identifier: GPL-3.0-or-later
"""What healthy means, one module per service; each yields what is wrong, and notes. All are pure."""
