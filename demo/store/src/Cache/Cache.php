<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Cache;

use Closure;
use Redis;
use RedisException;
use Store\Redis\RedisClient;
use Store\ServiceUnavailable;

/**
 * Values with a lifetime and tags in the Redis cache instance, read from a replica. The cache is a help, not a need:
 * after its first failure in a request the shop goes on without it.
 */
final class Cache
{
    private const PREFIX = 'store:';

    private bool $available = true;

    /** @param RedisClient $replica for reads; like Magento's with load_from_slave, which may see a value a moment later */
    public function __construct(private readonly RedisClient $redis, private readonly RedisClient $replica)
    {
    }

    /**
     * The cached value, or the one computed now and cached for $seconds under $tag.
     *
     * @param Closure(): mixed $compute must give a value that JSON can carry, or null, which is not cached
     */
    public function remember(string $key, string $tag, int $seconds, Closure $compute): mixed
    {
        $stored = $this->try($this->replica, static fn (Redis $redis) => $redis->get(self::PREFIX . $key));
        $value = is_string($stored) ? json_decode($stored, true) : null;
        if ($value !== null) {
            return $value;
        }
        $value = $compute();
        if ($value !== null) {
            $this->try($this->redis, static function (Redis $redis) use ($key, $tag, $seconds, $value): void {
                $redis->multi();
                $redis->setex(self::PREFIX . $key, $seconds, json_encode($value, JSON_THROW_ON_ERROR));
                $redis->sAdd(self::PREFIX . 'tag:' . $tag, self::PREFIX . $key);
                $redis->expire(self::PREFIX . 'tag:' . $tag, 2 * $seconds);
                $redis->exec();
            });
        }

        return $value;
    }

    /** Removes every value under the tag. */
    public function clean(string $tag): void
    {
        $this->redis->run(static function (Redis $redis) use ($tag): void {
            $set = self::PREFIX . 'tag:' . $tag;
            $keys = $redis->sMembers($set);
            if (!is_array($keys) || $redis->unlink([$set, ...$keys]) === false) {
                throw new RedisException('Tag was not cleaned: ' . $redis->getLastError());
            }
        });
    }

    /** @throws ServiceUnavailable */
    public function ping(): void
    {
        $this->redis->run(static function (Redis $redis): void {
            if ($redis->ping() !== true) {
                throw new RedisException('PING was not answered');
            }
        });
    }

    private function try(RedisClient $client, Closure $commands): mixed
    {
        if (!$this->available) {
            return null;
        }
        try {
            return $client->run($commands);
        } catch (ServiceUnavailable) {
            $this->available = false;

            return null;
        }
    }
}
