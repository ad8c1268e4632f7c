<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use Store\Cache\Cache;
use Store\Catalogue\Catalogue;
use Store\Database\Database;
use Store\Media\MediaStorage;
use Store\Order\Orders;
use Store\Redis\RedisClient;
use Store\Search\ProductIndex;
use Store\Search\SearchClient;
use Store\Session\Session;

/** Makes the parts of the shop when they are first asked for; nothing connects before it is used. */
final class Services
{
    /** @var array<string, object> */
    private array $made = [];

    public function __construct(public readonly string $root, private readonly Config $config)
    {
    }

    public function log(): Log
    {
        return $this->made['log'] ??= new Log($this->config->get('log/directory'));
    }

    public function database(): Database
    {
        return $this->made['database'] ??= $this->connectTo('default', causal: false);
    }

    public function orders(): Orders
    {
        return $this->made['orders'] ??= new Orders(
            $this->made['database/orders'] ??= $this->connectTo('default', causal: true),
        );
    }

    /** Orders as this node's own database server has them. */
    public function localOrders(): Orders
    {
        return $this->made['orders/local'] ??= new Orders(
            $this->made['database/local'] ??= $this->connectTo('local', causal: true),
        );
    }

    public function cache(): Cache
    {
        $settings = $this->config->get('cache/frontend/default/backend_options');
        $replica = ['host' => $settings['load_from_slave']['server'], 'port' => $settings['load_from_slave']['port']];

        return $this->made['cache'] ??= new Cache(
            $this->made['redis/cache'] ??= $this->redis('cache', $settings),
            $this->made['redis/cache/replica'] ??= $this->redis('cache replica', $replica + $settings),
        );
    }

    public function session(string $id): Session
    {
        return new Session(
            $this->made['redis/session'] ??= $this->redis('session', $this->config->get('session/redis')),
            $this->log(),
            $this->config->get('crypt/key'),
            $id,
            $this->config->get('session/redis/min_replicas'),
        );
    }

    public function catalogue(): Catalogue
    {
        return $this->made['catalogue'] ??= new Catalogue($this->database(), $this->cache());
    }

    public function productIndex(): ProductIndex
    {
        $settings = $this->config->get('system/default/catalog/search');
        $engine = $settings['engine'];

        return $this->made['index'] ??= new ProductIndex(
            new SearchClient($settings[$engine . '_server_hostname'] . ':' . $settings[$engine . '_server_port'], $this->log()),
            $settings[$engine . '_index_prefix'],
            $settings['replicas'],
        );
    }

    public function media(): MediaStorage
    {
        return $this->made['media'] ??= new MediaStorage($this->root . '/pub/media');
    }

    public function view(): View
    {
        return $this->made['view'] ??= new View($this->root, $this->config->get('system/default/web/base_url'));
    }

    /** Closes every connection; the next use opens a new one. */
    public function close(): void
    {
        foreach ($this->made as $part) {
            if ($part instanceof Database || $part instanceof RedisClient) {
                $part->close();
            }
        }
    }

    /**
     * @param bool $causal wait until the server has applied what the cluster had committed before: after the writer
     *     has moved, a visitor still finds the order just placed
     */
    private function connectTo(string $connection, bool $causal): Database
    {
        return new Database(
            $this->config->get('db/connection/' . $connection) + ['causal' => $causal],
            $this->log(),
        );
    }

    /** @param array<string, mixed> $settings */
    private function redis(string $name, array $settings): RedisClient
    {
        return new RedisClient($settings, $this->log(), $name);
    }
}
