<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Catalogue;

/** A thing for sale. */
final class Product
{
    public function __construct(
        public readonly string $sku,
        public readonly string $name,
        public readonly string $category,
        public readonly int $priceCents,
        public readonly string $description,
        public readonly bool $featured,
    ) {
    }

    /** @param array<string, mixed> $row */
    public static function fromRow(array $row): self
    {
        return new self(
            (string) $row['sku'],
            (string) $row['name'],
            (string) $row['category'],
            (int) $row['price_cents'],
            (string) $row['description'],
            (bool) $row['featured'],
        );
    }

    public function path(): string
    {
        return '/product/' . rawurlencode($this->sku);
    }

    public function picture(): string
    {
        return '/media/catalog/' . rawurlencode($this->sku) . '.svg';
    }

    /** @return array<string, scalar> */
    public function toJson(): array
    {
        return [
            'sku' => $this->sku,
            'name' => $this->name,
            'category' => $this->category,
            'price_cents' => $this->priceCents,
            'description' => $this->description,
            'url' => $this->path(),
            'picture' => $this->picture(),
        ];
    }
}
