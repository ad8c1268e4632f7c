<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Session;

use Redis;
use RedisException;
use Store\Log;
use Store\Redis\RedisClient;

/**
 * One visitor's session in the Redis session instance. Reading and writing whole values makes both repeatable.
 * The key is a keyed hash of the cookie, so a copy of Redis does not give away sessions.
 */
final class Session
{
    public const COOKIE = 'store_session';
    public const LIFETIME = 14 * 86400;

    private const REPLICA_WAIT_MILLISECONDS = 250;

    /** @var array<string, mixed>|null */
    private ?array $data = null;

    /** @param int $replicas how many replicas should have a write before it is acknowledged */
    public function __construct(
        private readonly RedisClient $redis,
        private readonly Log $log,
        #[\SensitiveParameter] private readonly string $cryptKey,
        private string $id,
        private readonly int $replicas,
    ) {
        if (preg_match('/^[0-9a-f]{64}$/', $id) !== 1) {
            $this->id = '';
        }
    }

    public function id(): string
    {
        return $this->id;
    }

    public function get(string $name): mixed
    {
        return $this->data()[$name] ?? null;
    }

    /** Stores the value at once. A session begins with its first value, under an identifier of our own making. */
    public function set(string $name, mixed $value): void
    {
        $data = [$name => $value] + $this->data();
        if ($this->id === '') {
            $this->id = bin2hex(random_bytes(32));
        }
        $this->save(json_encode($data, JSON_THROW_ON_ERROR));
        $this->data = $data;
    }

    /** @return array<string, mixed> */
    private function data(): array
    {
        if ($this->data === null) {
            $stored = $this->id === '' ? null : $this->load();
            $this->data = $stored === null ? [] : (array) json_decode($stored, true);
            if ($stored === null) {
                $this->id = '';
            }
        }

        return $this->data;
    }

    private function load(): ?string
    {
        return $this->redis->run(function (Redis $redis): ?string {
            // GET gives false for a missing key and for a failed command alike; MGET tells them apart.
            $values = $redis->mGet([$this->key()]);
            if (!is_array($values)) {
                throw new RedisException('Session was not read: ' . $redis->getLastError());
            }

            return is_string($values[0]) ? $values[0] : null;
        });
    }

    private function save(string $encoded): void
    {
        $this->redis->run(function (Redis $redis) use ($encoded): void {
            if ($redis->setex($this->key(), self::LIFETIME, $encoded) !== true) {
                throw new RedisException('Session was not stored: ' . $redis->getLastError());
            }
            if ($this->replicas === 0) {
                return;
            }
            $reached = $redis->wait($this->replicas, self::REPLICA_WAIT_MILLISECONDS);
            if (!is_int($reached)) {
                throw new RedisException('Primary was demoted during a write: ' . $redis->getLastError());
            }
            if ($reached < $this->replicas) {
                $this->log->warning('Session write reached too few replicas', ['reached' => $reached]);
            }
        });
    }

    private function key(): string
    {
        return 'sess_' . hash_hmac('sha256', $this->id, $this->cryptKey);
    }
}
