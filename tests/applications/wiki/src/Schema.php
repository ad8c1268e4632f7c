<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Wiki;

use mysqli_sql_exception;

/**
 * Which code the tables were made for.
 *
 * The answer is a row of MediaWiki's own table `updatelog`, so that a database that is restored brings its own.
 */
final class Schema
{
    private const KEY = 'wiki-schema';
    private const NO_SUCH_TABLE = 1146;

    /** What decides over the tables of this release: MediaWiki, and each extension, with their versions. */
    public static function ofRelease(): string
    {
        $wiki = Platform::ROOT . '/wiki';
        preg_match("/'MW_VERSION', '([^']+)'/", (string) file_get_contents("$wiki/includes/Defines.php"), $version);
        $parts = ["MediaWiki $version[1]"];
        foreach (require Platform::ROOT . '/extensions.php' as $name) {
            $described = json_decode((string) file_get_contents("$wiki/extensions/$name/extension.json"), true);
            $parts[] = trim("$name " . ($described['version'] ?? ''));
        }
        return implode(', ', $parts);
    }

    /** What the tables were last brought up to; null when there are none. */
    public static function ofDatabase(): ?string
    {
        try {
            $found = Platform::database()->execute_query('SELECT ul_value FROM updatelog WHERE ul_key = ?', [self::KEY]);
        } catch (mysqli_sql_exception $error) {
            if ($error->getCode() === self::NO_SUCH_TABLE) {
                return null;
            }
            throw $error;
        }
        return $found->fetch_column() ?: null;
    }

    /** Record that the tables are those of this release. */
    public static function record(): void
    {
        Platform::database()->execute_query('REPLACE INTO updatelog VALUES (?, ?)', [self::KEY, self::ofRelease()]);
    }

    /**
     * Have every table in InnoDB: Galera copies no other.
     *
     * MediaWiki makes its search index in MyISAM, which knew full texts first.
     */
    public static function replicate(): void
    {
        $database = Platform::database();
        $others = $database->query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            . " AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'"
        );
        foreach ($others->fetch_all() as [$table]) {
            $database->query("ALTER TABLE `$table` ENGINE = InnoDB");
            echo "$table is in InnoDB now\n";
        }
    }
}
