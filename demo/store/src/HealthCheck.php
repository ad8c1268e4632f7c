<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use Throwable;

/** Magento's contract: 500 when the database or the cache backend is unreachable, else 200. */
final class HealthCheck
{
    public static function run(string $root): void
    {
        header_remove('X-Powered-By');
        header('Content-Type: text/plain; charset=utf-8');
        header('Cache-Control: no-store');
        header('X-Node: ' . gethostname());
        try {
            $services = new Services($root, Config::load($root));
            $services->database()->rows('SELECT 1');
            $services->cache()->ping();
            $services->close();
            echo "ok\n";
        } catch (Throwable $error) {
            http_response_code(500);
            echo $error instanceof ServiceUnavailable ? $error->service . " unavailable\n" : "not ready\n";
        }
    }
}
