<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Store\\')) {
        require __DIR__ . '/' . strtr(substr($class, 6), '\\', '/') . '.php';
    }
});
