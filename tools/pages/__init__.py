# SPDX-License-Identifier: GPL-3.0-or-later
"""What bin/docs writes: whole pages, and blocks inside of pages that are written by hand.

A page of its own is made by a function of ``WHOLE_PAGES``: path → text. A block stands between
``<!-- bin/docs: NAME ARGUMENT… -->`` and ``<!-- end -->`` in any page below docs/; ``BLOCKS`` has a function for each
NAME, which gets the arguments and gives the text. A block may be a table, or a number in the middle of a sentence.
"""
