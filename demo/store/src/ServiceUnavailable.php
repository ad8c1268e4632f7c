<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use RuntimeException;
use Throwable;

/** A service the shop needs did not answer, after all retries. */
final class ServiceUnavailable extends RuntimeException
{
    public function __construct(public readonly string $service, ?Throwable $cause = null)
    {
        $detail = $cause === null ? '' : ': ' . $cause->getMessage();
        parent::__construct(ucfirst($service) . ' is unavailable' . $detail, 0, $cause);
    }
}
