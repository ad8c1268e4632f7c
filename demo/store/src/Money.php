<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

/** Amounts are whole cents of a euro; floating point never touches them. */
final class Money
{
    public static function format(int $cents): string
    {
        $sign = $cents < 0 ? '-' : '';

        return sprintf('%s€%s.%02d', $sign, number_format(intdiv(abs($cents), 100)), abs($cents) % 100);
    }
}
