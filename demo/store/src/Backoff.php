<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

/** Bounds retries by number and by time; waits a little longer, with jitter, before each next one. */
final class Backoff
{
    private int $attempt = 0;
    private readonly float $deadline;

    /** @param float $seconds no further attempt starts after this time */
    public function __construct(private readonly int $attempts, float $seconds)
    {
        $this->deadline = microtime(true) + $seconds;
    }

    /** Waits and answers true while another attempt is allowed. */
    public function again(): bool
    {
        if (++$this->attempt >= $this->attempts || microtime(true) >= $this->deadline) {
            return false;
        }
        usleep(random_int(20_000, 60_000) * (2 ** min($this->attempt, 4)));

        return true;
    }
}
