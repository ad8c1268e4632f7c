<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Media;

use InvalidArgumentException;
use Store\AtomicFile;

/** Customers' files in pub/media, which all nodes share. */
final class MediaStorage
{
    public const MAXIMUM_BYTES = 5 * 1024 * 1024;

    /** Kinds that a browser shows or saves but never runs: uploads are served from the shop's own origin. */
    public const TYPES = [
        'jpg' => 'image/jpeg',
        'jpeg' => 'image/jpeg',
        'png' => 'image/png',
        'gif' => 'image/gif',
        'webp' => 'image/webp',
        'pdf' => 'application/pdf',
        'txt' => 'text/plain; charset=utf-8',
        'bin' => 'application/octet-stream',
    ];

    public function __construct(private readonly string $directory)
    {
    }

    public static function isSafeName(string $name): bool
    {
        return preg_match('/\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.([a-z]{3,4})\z/', $name, $match) === 1
            && isset(self::TYPES[$match[1]]);
    }

    /**
     * Stores the file; one of the same name is replaced.
     *
     * @param resource $content
     */
    public function store(string $name, mixed $content): void
    {
        if (!self::isSafeName($name)) {
            throw new InvalidArgumentException(
                'name must be letters, digits, dots, - and _ with one of these endings: ' . implode(' ', array_keys(self::TYPES)),
            );
        }
        AtomicFile::write($this->directory . '/' . $name, $content);
    }

    /** The path of a stored file, or null. */
    public function path(string $name): ?string
    {
        $path = $this->directory . '/' . $name;

        return self::isSafeName($name) && is_file($path) ? $path : null;
    }

    public static function type(string $name): string
    {
        return self::TYPES[pathinfo($name, PATHINFO_EXTENSION)];
    }
}
