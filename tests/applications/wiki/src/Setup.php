<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Wiki;

use RuntimeException;

/** The deploy hook: it may be run again at any time, and goes on where an earlier run was broken off. */
final class Setup
{
    private const ADMINISTRATOR = 'Admin';

    /** Bring the database to this release. */
    public static function deploy(): void
    {
        Platform::makeSecrets();
        $before = Schema::ofDatabase();
        if ($before === Schema::ofRelease()) {
            echo "the database is of $before already\n";
            return;
        }
        if ($before === null) {
            self::install();
        }
        self::maintenance(['update.php', '--quick', '--skip-external-dependencies']);
        Schema::replicate();
        Schema::record();
        echo 'the database is of ' . Schema::ofRelease() . " now\n";
    }

    /** Make the tables, the administrator and the first page. The settings that MediaWiki writes are thrown away. */
    private static function install(): void
    {
        $folder = sys_get_temp_dir() . '/install-' . bin2hex(random_bytes(4));
        mkdir($folder, 0700);
        $database = Platform::service('database');
        // A password in a file is in no list of processes.
        file_put_contents("$folder/database", $database['password']);
        file_put_contents("$folder/administrator", Platform::secrets()['admin_password']);
        try {
            self::maintenance([
                'install.php',
                '--scriptpath=',
                '--server=' . Platform::address(),
                "--dbserver={$database['host']}:{$database['port']}",
                "--dbname={$database['path']}",
                "--dbuser={$database['username']}",
                "--dbpassfile=$folder/database",
                "--passfile=$folder/administrator",
                "--confpath=$folder",
                'Wiki',
                self::ADMINISTRATOR,
            ], ['MW_CONFIG_FILE' => "$folder/none.php"]);
        } finally {
            array_map(unlink(...), glob("$folder/*") ?: []);
            rmdir($folder);
        }
    }

    /**
     * Run a script of MediaWiki; what it says is the hook's.
     *
     * @param list<string> $words
     * @param array<string, string> $environment
     */
    private static function maintenance(array $words, array $environment = []): void
    {
        $script = Platform::ROOT . '/wiki/maintenance/' . array_shift($words);
        $streams = [1 => STDOUT, 2 => STDERR];
        $process = proc_open([PHP_BINARY, $script, ...$words], $streams, $pipes, null, [...getenv(), ...$environment]);
        $code = $process === false ? -1 : proc_close($process);
        if ($code !== 0) {
            throw new RuntimeException(basename($script) . " ended with $code");
        }
    }
}
