<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Database;

use mysqli_sql_exception;

/** What an error of MariaDB means for the work that met it. */
final class Failure
{
    public const DUPLICATE_KEY = 1062;
    public const NO_SUCH_TABLE = 1146;
    public const LOST = 2013;

    /** The transaction was rolled back or not begun: deadlock, certification failure, node not ready, read-only. */
    private const ROLLED_BACK = [1020, 1047, 1180, 1205, 1213, 1290, 1317, 1969];

    /** The connection could not be made or was lost; what was sent may or may not have been done. */
    private const CONNECTION_LOST = [
        1040, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, self::LOST, 2014, 2055, 4031,
    ];

    public static function isConnectionLost(mysqli_sql_exception $error): bool
    {
        return in_array($error->getCode(), self::CONNECTION_LOST, true);
    }

    public static function isTransient(mysqli_sql_exception $error): bool
    {
        return self::isConnectionLost($error) || in_array($error->getCode(), self::ROLLED_BACK, true);
    }
}
