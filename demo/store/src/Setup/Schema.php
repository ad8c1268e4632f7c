<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use mysqli_sql_exception;
use Store\Database\Connection;
use Store\Database\Database;
use Store\Database\Failure;

/**
 * The tables, as numbered steps that may each run twice: in Galera a DDL statement commits by itself, so a step can
 * be done without being recorded. A step, once released, is never changed; a new one is added.
 */
final class Schema
{
    private const STEPS = [
        1 => <<<'SQL'
            CREATE TABLE IF NOT EXISTS store_product (
                product_id INT UNSIGNED NOT NULL AUTO_INCREMENT,
                sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
                name VARCHAR(255) NOT NULL,
                category VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
                price_cents INT UNSIGNED NOT NULL,
                description TEXT NOT NULL,
                featured TINYINT(1) NOT NULL,
                PRIMARY KEY (product_id),
                UNIQUE KEY store_product_sku (sku)
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci
            SQL,
        2 => <<<'SQL'
            CREATE TABLE IF NOT EXISTS store_order (
                number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
                idempotency_key VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
                total_cents BIGINT UNSIGNED NOT NULL,
                node VARCHAR(255) NOT NULL,
                created_at DATETIME(6) NOT NULL,
                PRIMARY KEY (number),
                UNIQUE KEY store_order_idempotency_key (idempotency_key)
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci
            SQL,
        3 => <<<'SQL'
            CREATE TABLE IF NOT EXISTS store_order_item (
                order_number BIGINT UNSIGNED NOT NULL,
                line SMALLINT UNSIGNED NOT NULL,
                sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
                name VARCHAR(255) NOT NULL,
                qty SMALLINT UNSIGNED NOT NULL,
                price_cents INT UNSIGNED NOT NULL,
                PRIMARY KEY (order_number, line),
                CONSTRAINT store_order_item_order FOREIGN KEY (order_number) REFERENCES store_order (number)
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci
            SQL,
        4 => 'CREATE INDEX IF NOT EXISTS store_order_created_at ON store_order (created_at)',
        5 => <<<'SQL'
            CREATE TABLE IF NOT EXISTS store_cron_run (
                run_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
                node VARCHAR(255) NOT NULL,
                ran_at DATETIME(6) NOT NULL,
                PRIMARY KEY (run_id)
            ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci
            SQL,
    ];

    public function __construct(private readonly Database $database)
    {
    }

    /** @return list<int> the steps that the database lacks */
    public function missing(): array
    {
        try {
            $done = array_column($this->database->rows('SELECT version FROM store_schema'), 'version');
        } catch (mysqli_sql_exception $error) {
            if ($error->getCode() !== Failure::NO_SUCH_TABLE) {
                throw $error;
            }
            $done = [];
        }

        return array_values(array_diff(array_keys(self::STEPS), array_map(intval(...), $done)));
    }

    /** @return list<int> the steps that were done now */
    public function upgrade(): array
    {
        $missing = $this->missing();
        if ($missing === []) {
            return [];
        }
        $this->database->executeRepeatable(
            'CREATE TABLE IF NOT EXISTS store_schema (version INT UNSIGNED NOT NULL, applied_at DATETIME NOT NULL,'
            . ' PRIMARY KEY (version)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
        );
        foreach ($missing as $version) {
            $this->database->executeRepeatable(self::STEPS[$version]);
            $this->database->transaction(static fn (Connection $connection) => $connection->execute(
                'INSERT IGNORE INTO store_schema (version, applied_at) VALUES (?, UTC_TIMESTAMP())',
                [$version],
            ), repeatable: true);
        }

        return $missing;
    }
}
