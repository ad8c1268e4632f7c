<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use RuntimeException;

final class NotInstalled extends RuntimeException
{
}
