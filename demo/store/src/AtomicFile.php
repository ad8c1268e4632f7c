<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use RuntimeException;

/** Writes files so that a reader on any node sees the old or the new content, never a part. */
final class AtomicFile
{
    /** @param resource|string $content */
    public static function write(string $path, mixed $content, int $mode = 0o644): void
    {
        $temporary = sprintf('%s/.%s.tmp', dirname($path), bin2hex(random_bytes(8)));
        $handle = @fopen($temporary, 'xb');
        if ($handle === false) {
            throw new RuntimeException('Cannot write in ' . dirname($path));
        }
        try {
            $written = is_string($content)
                ? fwrite($handle, $content) === strlen($content)
                : stream_copy_to_stream($content, $handle) !== false;
            $complete = $written && fflush($handle) && fsync($handle);
            fclose($handle);
            if (!$complete || !chmod($temporary, $mode) || !rename($temporary, $path)) {
                throw new RuntimeException('Cannot write ' . $path);
            }
        } finally {
            if (is_file($temporary)) {
                unlink($temporary);
            }
        }
    }

    /** Writes only when the content differs; answers whether it did. */
    public static function update(string $path, string $content, int $mode = 0o644): bool
    {
        if (is_file($path) && file_get_contents($path) === $content) {
            return false;
        }
        self::write($path, $content, $mode);

        return true;
    }
}
