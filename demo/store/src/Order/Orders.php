<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Order;

use mysqli_sql_exception;
use Store\Cart\Cart;
use Store\Catalogue\Product;
use Store\Database\Connection;
use Store\Database\Database;
use Store\Database\Failure;

/** Orders in the database; one order for each idempotency key, however often it is sent. */
final class Orders
{
    private const COLUMNS = 'number, idempotency_key, total_cents, node, created_at';

    public function __construct(private readonly Database $database)
    {
    }

    public function numberByKey(string $key): ?int
    {
        $number = $this->database->rows('SELECT number FROM store_order WHERE idempotency_key = ?', [$key])[0]['number']
            ?? null;

        return $number === null ? null : (int) $number;
    }

    /**
     * Places the order and answers its number after the commit. The unique key makes every repetition safe: one after
     * a lost COMMIT as well as one that runs at the same time.
     *
     * @throws EmptyOrder when nothing in the cart is for sale
     */
    public function place(string $key, Cart $cart, string $node): int
    {
        try {
            return $this->database->transaction(
                static fn (Connection $connection): int => self::existing($connection, $key)
                    ?? self::insert($connection, $key, $cart, $node),
                repeatable: true,
            );
        } catch (mysqli_sql_exception $error) {
            if ($error->getCode() !== Failure::DUPLICATE_KEY) {
                throw $error;
            }

            return $this->numberByKey($key) ?? throw $error;
        }
    }

    /** @return array<string, mixed>|null the order with its items */
    public function order(int $number): ?array
    {
        $row = $this->database->rows('SELECT ' . self::COLUMNS . ' FROM store_order WHERE number = ?', [$number])[0] ?? null;
        if ($row === null) {
            return null;
        }
        $items = $this->database->rows(
            'SELECT sku, name, qty, price_cents FROM store_order_item WHERE order_number = ? ORDER BY line',
            [$number],
        );

        return self::toJson($row) + ['items' => $items];
    }

    /**
     * Orders created at or after a time, in the order of their numbers.
     *
     * @param string $since "YYYY-MM-DD HH:MM:SS.ffffff", UTC
     * @param int $after only numbers above this one: the last number of the page before
     * @return list<array<string, mixed>>
     */
    public function since(string $since, int $after, int $limit): array
    {
        return array_map(self::toJson(...), $this->database->rows(
            'SELECT ' . self::COLUMNS . ' FROM store_order WHERE number > ? AND created_at >= ? ORDER BY number LIMIT ?',
            [$after, $since, $limit],
        ));
    }

    private static function existing(Connection $connection, string $key): ?int
    {
        $rows = $connection->rows('SELECT number FROM store_order WHERE idempotency_key = ?', [$key]);

        return $rows === [] ? null : (int) $rows[0]['number'];
    }

    private static function insert(Connection $connection, string $key, Cart $cart, string $node): int
    {
        $lines = $cart->lines(self::products($connection, array_keys($cart->quantities)));
        if ($lines === []) {
            throw new EmptyOrder('The cart is empty.');
        }
        $connection->execute(
            'INSERT INTO store_order (idempotency_key, total_cents, node, created_at) VALUES (?, ?, ?, UTC_TIMESTAMP(6))',
            [$key, Cart::totalCents($lines), $node],
        );
        $number = $connection->lastId();
        $values = [];
        foreach ($lines as $index => $line) {
            array_push(
                $values,
                $number,
                $index + 1,
                $line->product->sku,
                $line->product->name,
                $line->quantity,
                $line->product->priceCents,
            );
        }
        $connection->execute(
            'INSERT INTO store_order_item (order_number, line, sku, name, qty, price_cents) VALUES '
            . implode(', ', array_fill(0, count($lines), '(?, ?, ?, ?, ?, ?)')),
            $values,
        );

        return $number;
    }

    /**
     * @param list<int|string> $skus
     * @return array<string, Product>
     */
    private static function products(Connection $connection, array $skus): array
    {
        if ($skus === []) {
            return [];
        }
        $rows = $connection->rows(
            'SELECT sku, name, category, price_cents, description, featured FROM store_product WHERE sku IN ('
            . implode(', ', array_fill(0, count($skus), '?')) . ')',
            $skus,
        );

        return array_combine(array_column($rows, 'sku'), array_map(Product::fromRow(...), $rows));
    }

    /**
     * @param array<string, mixed> $row
     * @return array<string, mixed>
     */
    private static function toJson(array $row): array
    {
        return [
            'order' => (int) $row['number'],
            'key' => $row['idempotency_key'],
            'total_cents' => (int) $row['total_cents'],
            'node' => $row['node'],
            'created_at' => str_replace(' ', 'T', (string) $row['created_at']) . 'Z',
        ];
    }
}
