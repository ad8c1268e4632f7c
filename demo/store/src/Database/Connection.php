<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Database;

use LogicException;
use mysqli;
use mysqli_result;
use mysqli_sql_exception;

/**
 * One connection to MariaDB. Errors are mysqli_sql_exception; the warnings that mysqlnd adds to a lost
 * connection are silenced because the exception says the same.
 */
final class Connection
{
    private readonly mysqli $link;

    /** @param array{host: string, username: string, password: string, dbname: string, causal?: bool} $settings */
    public function __construct(#[\SensitiveParameter] array $settings)
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        $address = explode(':', $settings['host']);
        $link = mysqli_init();
        // The local proxy holds connections during a hand-over, so waiting beats failing.
        $link->options(MYSQLI_OPT_CONNECT_TIMEOUT, 10);
        $link->options(MYSQLI_OPT_READ_TIMEOUT, 15);
        $link->options(MYSQLI_INIT_COMMAND, sprintf(
            "SET SESSION tx_isolation='READ-COMMITTED', sql_mode='TRADITIONAL', time_zone='+00:00',"
            . ' innodb_lock_wait_timeout=5, wsrep_sync_wait=%d',
            ($settings['causal'] ?? false) ? 1 : 0,
        ));
        $port = (int) ($address[1] ?? 3306);
        @$link->real_connect($address[0], $settings['username'], $settings['password'], $settings['dbname'], $port);
        $link->set_charset('utf8mb4');
        $this->link = $link;
    }

    /**
     * @param list<scalar|null> $parameters
     * @return list<array<string, scalar|null>>
     */
    public function rows(string $sql, array $parameters = []): array
    {
        $result = $this->send($sql, $parameters);
        if (!$result instanceof mysqli_result) {
            throw new LogicException('Not a query: ' . $sql);
        }

        return $result->fetch_all(MYSQLI_ASSOC);
    }

    /** @param list<scalar|null> $parameters */
    public function execute(string $sql, array $parameters = []): void
    {
        $this->send($sql, $parameters);
    }

    public function lastId(): int
    {
        return (int) $this->link->insert_id;
    }

    public function begin(): void
    {
        $this->send('START TRANSACTION');
    }

    public function commit(): void
    {
        $this->send('COMMIT');
    }

    public function rollback(): void
    {
        $this->send('ROLLBACK');
    }

    public function close(): void
    {
        @$this->link->close();
    }

    /**
     * A connection that is killed while a result is on its way makes mysqli answer false, without an exception. Taken
     * for "no rows", that would be a wrong answer.
     *
     * @param list<scalar|null> $parameters
     */
    private function send(string $sql, array $parameters = []): mysqli_result|bool
    {
        $result = $parameters === [] ? @$this->link->query($sql) : @$this->link->execute_query($sql, $parameters);
        if ($result === false || $this->link->errno !== 0) {
            throw new mysqli_sql_exception($this->link->error ?: 'No result', $this->link->errno ?: Failure::LOST);
        }

        return $result;
    }
}
