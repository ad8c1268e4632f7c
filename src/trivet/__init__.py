# SPDX-License-Identifier: GPL-3.0-or-later
"""Trivet: the architecture of Magento Commerce Cloud "Pro" on machines you own."""
