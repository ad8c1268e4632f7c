<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Cart;

use InvalidArgumentException;
use Store\Catalogue\Product;

/** Quantities by SKU. A cart is a value: changing it makes a new one. */
final class Cart
{
    public const MAXIMUM_QUANTITY = 99;
    public const MAXIMUM_LINES = 50;

    /** @param array<string, int> $quantities */
    public function __construct(public readonly array $quantities = [])
    {
    }

    /** @param mixed $value what a session holds */
    public static function fromSession(mixed $value): self
    {
        return new self(is_array($value) ? array_map(intval(...), $value) : []);
    }

    public function add(string $sku, int $quantity): self
    {
        if ($quantity < 1) {
            throw new InvalidArgumentException('qty must be at least 1');
        }

        return $this->with($sku, min(self::MAXIMUM_QUANTITY, ($this->quantities[$sku] ?? 0) + $quantity));
    }

    /** Sets the quantity; 0 takes the line out. */
    public function with(string $sku, int $quantity): self
    {
        if ($quantity < 0 || $quantity > self::MAXIMUM_QUANTITY) {
            throw new InvalidArgumentException('qty must be between 0 and ' . self::MAXIMUM_QUANTITY);
        }
        $quantities = $this->quantities;
        $quantities[$sku] = $quantity;
        $quantities = array_filter($quantities);
        if (count($quantities) > self::MAXIMUM_LINES) {
            throw new InvalidArgumentException('a cart holds at most ' . self::MAXIMUM_LINES . ' different products');
        }

        return new self($quantities);
    }

    public function count(): int
    {
        return array_sum($this->quantities);
    }

    public function isEmpty(): bool
    {
        return $this->quantities === [];
    }

    /**
     * The lines of the cart at the given products' prices; what is no longer sold is left out.
     *
     * @param array<string, Product> $products by SKU
     * @return list<CartLine>
     */
    public function lines(array $products): array
    {
        $lines = [];
        foreach ($this->quantities as $sku => $quantity) {
            if (isset($products[$sku])) {
                $lines[] = new CartLine($products[$sku], $quantity);
            }
        }

        return $lines;
    }

    /** @param list<CartLine> $lines */
    public static function totalCents(array $lines): int
    {
        return array_sum(array_map(static fn (CartLine $line): int => $line->totalCents(), $lines));
    }
}
