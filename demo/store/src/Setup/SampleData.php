<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use Store\Catalogue\Product;

/** The products that a new shop starts with. */
final class SampleData
{
    /** @return list<Product> */
    public static function products(string $root): array
    {
        $products = [];
        foreach (require $root . '/data/products.php' as $category => $rows) {
            foreach ($rows as $position => [$sku, $name, $cents, $description]) {
                $featured = $position === 0 || str_ends_with($name, '*');
                $products[] = new Product($sku, rtrim($name, ' *'), $category, $cents, $description, $featured);
            }
        }

        return $products;
    }
}
