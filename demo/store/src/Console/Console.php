<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Console;

use InvalidArgumentException;
use Store\Config;
use Store\NotInstalled;
use Store\Services;
use Store\Setup\Installer;
use Store\Setup\Schema;
use Store\Setup\Settings;
use Throwable;

/** The command line: bin/store COMMAND. */
final class Console
{
    private const UPGRADE_NEEDED = 2;

    private const USAGE = <<<'TEXT'
        Usage: store COMMAND
          setup:install [--nodes N]  settings as JSON on standard input, or in the variable STORE_SETTINGS;
                                     may be repeated; prints what it changed as JSON
          setup:upgrade              bring the database schema up to date
          setup:db:status            exit 0: up to date, 2: upgrade or installation needed, 1: error
          index:rebuild              build the search index anew

        TEXT;

    public function __construct(private readonly string $root)
    {
    }

    /** @param list<string> $arguments without the program's name */
    public function run(array $arguments): int
    {
        try {
            return match ($arguments[0] ?? '') {
                'setup:install' => $this->install(array_slice($arguments, 1)),
                'setup:upgrade' => $this->upgrade(),
                'setup:db:status' => $this->status(),
                'index:rebuild' => $this->rebuild(),
                default => $this->usage(),
            };
        } catch (Throwable $error) {
            fwrite(STDERR, 'store: ' . $error->getMessage() . "\n");

            return 1;
        }
    }

    /** @param list<string> $options */
    private function install(array $options): int
    {
        $nodes = self::nodes($options);
        $json = getenv('STORE_SETTINGS') ?: (string) stream_get_contents(STDIN);
        $environment = Settings::environment($json, $this->root, $nodes);
        $changed = (new Installer($this->root))->install($environment);
        echo json_encode(['changed' => $changed], JSON_THROW_ON_ERROR), "\n";

        return 0;
    }

    private function upgrade(): int
    {
        $steps = (new Installer($this->root))->upgrade();
        echo json_encode(['steps' => $steps], JSON_THROW_ON_ERROR), "\n";

        return 0;
    }

    private function status(): int
    {
        try {
            $missing = (new Schema($this->services()->database()))->missing();
        } catch (NotInstalled) {
            echo "not installed\n";

            return self::UPGRADE_NEEDED;
        }
        echo $missing === [] ? "up to date\n" : 'upgrade needed: steps ' . implode(', ', $missing) . "\n";

        return $missing === [] ? 0 : self::UPGRADE_NEEDED;
    }

    private function rebuild(): int
    {
        $services = $this->services();
        $products = $services->catalogue()->all();
        $services->productIndex()->rebuild($products);
        echo count($products), " products indexed\n";

        return 0;
    }

    private function usage(): int
    {
        fwrite(STDERR, self::USAGE);

        return 1;
    }

    private function services(): Services
    {
        return new Services($this->root, Config::load($this->root));
    }

    /** @param list<string> $options */
    private static function nodes(array $options): int
    {
        if ($options === []) {
            return 1;
        }
        $value = count($options) === 2 && $options[0] === '--nodes' ? $options[1] : '';
        $nodes = filter_var($value, FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => 99]]);

        return $nodes === false ? throw new InvalidArgumentException('setup:install takes --nodes N') : $nodes;
    }
}
