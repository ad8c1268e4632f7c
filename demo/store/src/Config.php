<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use RuntimeException;

/** Settings of this installation, read from app/etc/env.php. */
final class Config
{
    /** @param array<string, mixed> $values */
    public function __construct(private readonly array $values)
    {
    }

    public static function load(string $root): self
    {
        $file = self::file($root);
        $values = is_file($file) ? require $file : null;
        if (!is_array($values)) {
            throw new NotInstalled('The shop is not installed: ' . $file . ' is missing.');
        }

        return new self($values);
    }

    public static function file(string $root): string
    {
        return $root . '/app/etc/env.php';
    }

    /** A value by its path, for example "db/connection/default/host". */
    public function get(string $path): mixed
    {
        $value = $this->values;
        foreach (explode('/', $path) as $key) {
            if (!is_array($value) || !array_key_exists($key, $value)) {
                throw new RuntimeException('Missing setting in env.php: ' . $path);
            }
            $value = $value[$key];
        }

        return $value;
    }
}
