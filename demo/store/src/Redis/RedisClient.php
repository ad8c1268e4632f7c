<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Redis;

use Redis;
use RedisException;
use Store\Backoff;
use Store\Log;
use Store\ServiceUnavailable;

/** A lazily opened, never persistent connection to one Redis instance. */
final class RedisClient
{
    private ?Redis $link = null;

    /**
     * @param array{host: string, port: int, password: string, database: int, connect_timeout: float,
     *     read_timeout: float, attempts: int} $settings times in seconds
     */
    public function __construct(
        #[\SensitiveParameter] private readonly array $settings,
        private readonly Log $log,
        private readonly string $name,
    ) {
    }

    /**
     * Runs commands that may be repeated. A lost connection, or a primary that has become a replica (READONLY),
     * is answered with a new connection, which the proxy leads to the new primary.
     *
     * @template T
     * @param callable(Redis): T $commands
     * @return T
     */
    public function run(callable $commands): mixed
    {
        $backoff = new Backoff($this->settings['attempts'], $this->settings['read_timeout']);
        while (true) {
            try {
                return $commands($this->link ??= $this->connect());
            } catch (RedisException $error) {
                $this->close();
                $this->log->warning('Redis attempt failed', ['instance' => $this->name, 'error' => $error->getMessage()]);
                if (!$backoff->again()) {
                    throw new ServiceUnavailable($this->name, $error);
                }
            }
        }
    }

    public function close(): void
    {
        try {
            $this->link?->close();
        } catch (RedisException) {
            // Already gone.
        }
        $this->link = null;
    }

    private function connect(): Redis
    {
        $settings = $this->settings;
        $link = new Redis();
        @$link->connect(
            $settings['host'],
            $settings['port'],
            $settings['connect_timeout'],
            null,
            0,
            $settings['read_timeout'],
        );
        // The extension's own reconnection loses answers without a word; this class repeats whole commands instead.
        // Set before connect(), it would prevent that, too.
        $link->setOption(Redis::OPT_MAX_RETRIES, 0);
        if ($settings['password'] !== '' && !$link->auth($settings['password'])) {
            throw new RedisException('Authentication refused');
        }
        if ($settings['database'] !== 0 && !$link->select($settings['database'])) {
            throw new RedisException('Database refused: ' . $link->getLastError());
        }

        return $link;
    }
}
