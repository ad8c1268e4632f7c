<?php

// SPDX-License-Identifier: GPL-3.0-or-later

/** The extensions of this wiki. The build takes them, and no others, out of Debian's package. */
return ['Cite', 'ParserFunctions'];
