# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release runs with: the configuration of nginx and PHP-FPM, mounts, and the variables of the platform.

Pure: text and values out of a project; nothing is asked and nothing is written here.
"""
