<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Console;

use InvalidArgumentException;
use Store\Config;
use Store\Database\Connection;
use Store\NotInstalled;
use Store\Services;
use Store\Setup\Installer;
use Store\Setup\Platform;
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
          build                      mark every template with the release that it is part of (build hook)
          deploy                     install or upgrade from the variables of the platform (deploy hook)
          cron                       note in the database that this ran, and when (a cron of every minute)
          worker                     keep a connection to the database, and write its heartbeat (a worker)
          index:ensure               build the search index when it is not there (post-deploy hook)

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
                'index:ensure' => $this->ensureIndex(),
                'build' => $this->build(),
                'cron' => $this->cron(),
                'worker' => $this->worker(),
                'deploy' => $this->deploy(),
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

    private function ensureIndex(): int
    {
        $services = $this->services();
        $built = $services->productIndex()->ensure($services->catalogue()->all());
        echo $built ? "the search index was built\n" : "the search index is there\n";

        return 0;
    }

    /** Every file of a page then says which release it is of: a page that says two was made of two. */
    private function build(): int
    {
        $release = getenv('MAGENTO_CLOUD_TREE_ID') ?: throw new InvalidArgumentException('MAGENTO_CLOUD_TREE_ID is not set.');
        foreach (glob($this->root . '/templates/*.phtml') ?: [] as $file) {
            file_put_contents($file, "<!-- release: $release -->\n", FILE_APPEND);
        }
        echo 'templates of release ', $release, "\n";

        return 0;
    }

    private function deploy(): int
    {
        $platform = new Platform(getenv());
        $known = is_file(Config::file($this->root)) ? Config::load($this->root)->get('crypt/key') : null;
        $environment = Settings::environment(
            json_encode($platform->settings($this->root, $known), JSON_THROW_ON_ERROR),
            $this->root,
            $platform->nodes(),
        );
        $changed = (new Installer($this->root))->install($environment);
        echo $changed === [] ? "nothing was missing\n" : 'changed: ' . implode(', ', $changed) . "\n";

        return 0;
    }

    /** One row for each run: a minute that is doubled, or missed, can be counted. */
    private function cron(): int
    {
        $this->services()->database()->transaction(static fn (Connection $connection) => $connection->execute(
            'INSERT INTO store_cron_run (node, ran_at) VALUES (?, UTC_TIMESTAMP(6))',
            [gethostname()],
        ), repeatable: false);

        return 0;
    }

    /** As a queue consumer of Magento: one connection for as long as it lives, idle between two messages. */
    private function worker(): int
    {
        $going = true;
        pcntl_async_signals(true);
        pcntl_signal(SIGTERM, static function () use (&$going): void {
            $going = false;
        });
        $services = $this->services();
        while ($going) {
            $services->database()->rows('SELECT 1');
            sleep(2);
        }

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
