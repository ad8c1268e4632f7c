<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Database;

use RuntimeException;

/** The connection was lost while COMMIT was on its way, and the work was not said to be repeatable. */
final class UncertainCommit extends RuntimeException
{
}
