<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use RuntimeException;

/** A lock file in var, which all nodes share. GET_LOCK is local to one database node and so no lock at all. */
final class FileLock
{
    /** Runs the work while holding the lock; waits up to $seconds for it. */
    public static function hold(string $directory, string $name, float $seconds, callable $work): mixed
    {
        if (!is_dir($directory) && !@mkdir($directory, 0o770, true) && !is_dir($directory)) {
            throw new RuntimeException('Cannot create ' . $directory);
        }
        $handle = fopen($directory . '/' . $name . '.lock', 'c');
        $deadline = microtime(true) + $seconds;
        while (!flock($handle, LOCK_EX | LOCK_NB)) {
            if (microtime(true) >= $deadline) {
                throw new RuntimeException('Another process holds the lock ' . $name);
            }
            usleep(200_000);
        }
        try {
            return $work();
        } finally {
            fclose($handle);
        }
    }
}
