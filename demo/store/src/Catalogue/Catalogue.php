<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Catalogue;

use Store\Cache\Cache;
use Store\Database\Database;

/** Products, from the database through the cache. */
final class Catalogue
{
    public const TAG = 'catalogue';

    public const CATEGORIES = [
        'beans' => 'Beans',
        'grinders' => 'Grinders',
        'kettles' => 'Kettles',
        'pour-over' => 'Pour-over',
        'espresso' => 'Espresso',
        'cups' => 'Cups',
        'scales' => 'Scales',
        'tools' => 'Tools',
    ];

    private const SECONDS = 3600;
    private const COLUMNS = 'sku, name, category, price_cents, description, featured';

    public function __construct(private readonly Database $database, private readonly Cache $cache)
    {
    }

    public function product(string $sku): ?Product
    {
        $row = $this->cache->remember('product:' . $sku, self::TAG, self::SECONDS, fn (): ?array => $this->database->rows(
            'SELECT ' . self::COLUMNS . ' FROM store_product WHERE sku = ?',
            [$sku],
        )[0] ?? null);

        return $row === null ? null : Product::fromRow($row);
    }

    /** @return array<string, Product> by SKU, in the order of the shelf */
    public function all(): array
    {
        $rows = $this->cache->remember('products', self::TAG, self::SECONDS, fn (): array => $this->database->rows(
            'SELECT ' . self::COLUMNS . ' FROM store_product ORDER BY product_id',
        ));
        $products = [];
        foreach ($rows as $row) {
            $products[(string) $row['sku']] = Product::fromRow($row);
        }

        return $products;
    }

    /** @return list<Product> */
    public function featured(): array
    {
        return array_values(array_filter($this->all(), static fn (Product $product): bool => $product->featured));
    }

    /** @return list<Product> */
    public function category(string $category): array
    {
        return array_values(array_filter(
            $this->all(),
            static fn (Product $product): bool => $product->category === $category,
        ));
    }
}
