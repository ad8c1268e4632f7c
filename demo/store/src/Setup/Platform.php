<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use InvalidArgumentException;

/** What the platform gives an application: relationships, routes and variables, as ece-tools reads them. */
final class Platform
{
    /** Port of the database server of the node itself, on every node of Production (Adobe's guide, services/mysql). */
    private const LOCAL_DATABASE_PORT = 3307;

    /** @param array<string, string> $variables the environment of the process */
    public function __construct(private readonly array $variables)
    {
    }

    public function nodes(): int
    {
        return (int) ($this->variables['TRIVET_NODES'] ?? 1);
    }

    /**
     * @param ?string $key the crypt key of an installation that is there
     * @return array<string, mixed> what Settings takes
     */
    public function settings(string $root, ?string $key): array
    {
        $database = $this->relationship('database');
        $cache = $this->relationship('redis');
        $session = $this->relationship('redis-session');
        $search = $this->relationship('opensearch');
        $engine = explode(':', $search['type'] ?? 'opensearch:2');

        return [
            'base_url' => $this->baseUrl(),
            'crypt_key' => $key ?? ($this->decoded('VARIABLES')['CRYPT_KEY'] ?? bin2hex(random_bytes(16))),
            'log_directory' => $root . '/log',
            'database' => [
                'host' => $database['host'],
                'port' => $database['port'],
                'local_port' => (int) ($this->variables['STORE_LOCAL_DATABASE_PORT'] ?? self::LOCAL_DATABASE_PORT),
                'name' => $database['path'],
                'user' => $database['username'],
                'password' => $database['password'],
            ],
            'cache' => [
                'host' => $cache['host'],
                'port' => $cache['port'],
                'replica_port' => $this->relationship('redis-replica')['port'],
                'password' => $cache['password'] ?? '',
            ],
            'session' => [
                'host' => $session['host'],
                'port' => $session['port'],
                'password' => $session['password'] ?? '',
            ],
            'search' => [
                'engine' => $engine[0] === 'opensearch' ? 'opensearch' : $engine[0] . (int) ($engine[1] ?? 7),
                'host' => $search['host'],
                'port' => $search['port'],
                'index_prefix' => 'store',
            ],
        ];
    }

    private function baseUrl(): string
    {
        foreach ($this->decoded('ROUTES') as $url => $route) {
            if (($route['type'] ?? '') === 'upstream') {
                return $url;
            }
        }
        throw new InvalidArgumentException('No route leads to an application.');
    }

    /** @return array<string, mixed> */
    private function relationship(string $name): array
    {
        return $this->decoded('RELATIONSHIPS')[$name][0]
            ?? throw new InvalidArgumentException('The application has no relationship ' . $name . '.');
    }

    /** @return array<string, mixed> */
    private function decoded(string $name): array
    {
        $text = base64_decode($this->variables['MAGENTO_CLOUD_' . $name] ?? '', true) ?: '[]';

        return json_decode($text, true, 32, JSON_THROW_ON_ERROR);
    }
}
