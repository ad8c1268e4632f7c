<?php

// SPDX-License-Identifier: GPL-3.0-or-later

// Asked by every proxy all the time: 200 when this node can serve the wiki, without MediaWiki itself.

declare(strict_types=1);

use Wiki\Platform;

require_once '/app/src/Platform.php';

header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
try {
    Platform::secrets();
    Platform::database()->query('SELECT 1 FROM site_stats');
    $service = Platform::service('session');
    $redis = new Redis();
    $redis->connect($service['host'], $service['port'], 2.0, null, 0, 2.0);
    if ($service['password'] !== null) {
        $redis->auth($service['password']);
    }
    $redis->ping();
    echo "ok\n";
} catch (Throwable $error) {
    error_log("health: {$error->getMessage()}");
    http_response_code(500);
    echo "not ready\n";
}
