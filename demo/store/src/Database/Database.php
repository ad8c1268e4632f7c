<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Database;

use mysqli_sql_exception;
use Store\Backoff;
use Store\Log;
use Store\ServiceUnavailable;
use Throwable;

/** Runs work on a Galera cluster through a proxy: connects late, closes early, repeats what may be repeated. */
final class Database
{
    private const ATTEMPTS = 12;
    private const SECONDS = 20.0;

    private ?Connection $connection = null;

    /** @param array{host: string, username: string, password: string, dbname: string, causal?: bool} $settings */
    public function __construct(#[\SensitiveParameter] private readonly array $settings, private readonly Log $log)
    {
    }

    /**
     * @param list<scalar|null> $parameters
     * @return list<array<string, scalar|null>>
     */
    public function rows(string $sql, array $parameters = []): array
    {
        return $this->attempt(static fn (Connection $connection): array => $connection->rows($sql, $parameters));
    }

    /** A statement that may be run twice, such as CREATE TABLE IF NOT EXISTS. */
    public function executeRepeatable(string $sql): void
    {
        $this->attempt(static fn (Connection $connection) => $connection->execute($sql));
    }

    /**
     * Runs the work in a transaction and commits it. On a deadlock, a failed certification or a connection lost
     * before COMMIT the whole work runs again. When the connection is lost during COMMIT nobody knows the outcome:
     * work that finds its own earlier result says $repeatable and runs again, other work ends in UncertainCommit.
     *
     * @template T
     * @param callable(Connection): T $work
     * @return T
     */
    public function transaction(callable $work, bool $repeatable): mixed
    {
        return $this->attempt(static function (Connection $connection) use ($work, $repeatable): mixed {
            $connection->begin();
            try {
                $result = $work($connection);
            } catch (Throwable $error) {
                self::rollback($connection);
                throw $error;
            }
            try {
                $connection->commit();
            } catch (mysqli_sql_exception $error) {
                if (!$repeatable && Failure::isConnectionLost($error)) {
                    throw new UncertainCommit('The outcome of a COMMIT is not known', 0, $error);
                }
                throw $error;
            }

            return $result;
        });
    }

    public function close(): void
    {
        $this->connection?->close();
        $this->connection = null;
    }

    private function attempt(callable $work): mixed
    {
        $backoff = new Backoff(self::ATTEMPTS, self::SECONDS);
        while (true) {
            try {
                return $work($this->connection ??= new Connection($this->settings));
            } catch (mysqli_sql_exception $error) {
                if (!Failure::isTransient($error)) {
                    throw $error;
                }
                // A fresh connection goes to whichever node the proxy now calls the writer.
                $this->close();
                $this->log->warning('Database attempt failed', [
                    'code' => $error->getCode(),
                    'error' => $error->getMessage(),
                ]);
                if (!$backoff->again()) {
                    throw new ServiceUnavailable('database', $error);
                }
            }
        }
    }

    private static function rollback(Connection $connection): void
    {
        try {
            $connection->rollback();
        } catch (mysqli_sql_exception) {
            // The server has rolled back already, or will when it notices that the connection is gone.
        }
    }
}
