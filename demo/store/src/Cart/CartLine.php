<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Cart;

use Store\Catalogue\Product;

final class CartLine
{
    public function __construct(public readonly Product $product, public readonly int $quantity)
    {
    }

    public function totalCents(): int
    {
        return $this->product->priceCents * $this->quantity;
    }
}
