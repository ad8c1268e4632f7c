<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use InvalidArgumentException;
use JsonException;

/** Turns the installer's JSON, which carries secrets and so comes by stdin or environment, into env.php's array. */
final class Settings
{
    private const REQUIRED = [
        'base_url',
        'crypt_key',
        'log_directory',
        'database.host',
        'database.port',
        'database.local_port',
        'database.name',
        'database.user',
        'database.password',
        'cache.host',
        'cache.port',
        'cache.replica_port',
        'cache.password',
        'session.host',
        'session.port',
        'session.password',
        'search.engine',
        'search.host',
        'search.port',
        'search.index_prefix',
    ];

    /** @return array<string, mixed> */
    public static function environment(string $json, string $root, int $nodes): array
    {
        try {
            $given = json_decode($json, true, 16, JSON_THROW_ON_ERROR);
        } catch (JsonException $error) {
            throw new InvalidArgumentException('The settings are not JSON: ' . $error->getMessage());
        }
        $given = is_array($given) ? $given : [];
        self::check($given);
        $database = $given['database'];
        $search = $given['search'];
        $engine = $search['engine'];
        $account = [
            'dbname' => $database['name'],
            'username' => $database['user'],
            'password' => $database['password'],
        ];

        return [
            'crypt' => ['key' => $given['crypt_key']],
            'db' => ['connection' => [
                'default' => ['host' => $database['host'] . ':' . $database['port']] + $account,
                'local' => ['host' => $database['host'] . ':' . $database['local_port']] + $account,
            ]],
            // The shop works without its cache, so it waits for it less long and asks once.
            'cache' => ['frontend' => ['default' => [
                'backend_options' => self::redis($given['cache'], 1, 2.0, 3.0, 1) + ['load_from_slave' => [
                    'server' => $given['cache']['host'],
                    'port' => (int) $given['cache']['replica_port'],
                ]],
            ]]],
            'session' => [
                'save' => 'redis',
                'redis' => self::redis($given['session'], 0, 10.0, 15.0, 3) + [
                    'disable_locking' => 1,
                    'min_replicas' => $nodes > 1 ? 1 : 0,
                ],
            ],
            'system' => ['default' => [
                'web' => ['base_url' => rtrim($given['base_url'], '/') . '/'],
                'catalog' => ['search' => [
                    'engine' => $engine,
                    $engine . '_server_hostname' => $search['host'],
                    $engine . '_server_port' => (int) $search['port'],
                    $engine . '_index_prefix' => $search['index_prefix'],
                    'replicas' => $nodes - 1,
                ]],
            ]],
            'lock' => ['provider' => 'file', 'config' => ['path' => $root . '/var/locks']],
            'log' => ['directory' => $given['log_directory']],
        ];
    }

    /**
     * @param array<string, mixed> $given
     * @return array<string, mixed>
     */
    private static function redis(array $given, int $database, float $connect, float $read, int $attempts): array
    {
        return [
            'host' => $given['host'],
            'port' => (int) $given['port'],
            'password' => $given['password'],
            'database' => $database,
            'connect_timeout' => $connect,
            'read_timeout' => $read,
            'attempts' => $attempts,
        ];
    }

    /** @param array<string, mixed> $given */
    private static function check(array $given): void
    {
        $missing = array_filter(self::REQUIRED, static function (string $name) use ($given): bool {
            $value = $given;
            foreach (explode('.', $name) as $key) {
                $value = is_array($value) ? ($value[$key] ?? null) : null;
            }

            return !is_scalar($value) || ($value === '' && !str_ends_with($name, 'password'));
        });
        if ($missing !== []) {
            throw new InvalidArgumentException('Missing settings: ' . implode(', ', $missing));
        }
        if (!in_array($given['search']['engine'], ['opensearch', 'elasticsearch7', 'elasticsearch8'], true)) {
            throw new InvalidArgumentException('Unknown search engine: ' . $given['search']['engine']);
        }
        if (preg_match('/\A[a-z0-9][a-z0-9_-]{0,63}\z/', $given['search']['index_prefix']) !== 1) {
            throw new InvalidArgumentException('search.index_prefix must be lower-case letters, digits, _ and -');
        }
    }
}
