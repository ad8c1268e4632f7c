<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use Store\Catalogue\Product;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;

final class SearchController extends Controller
{
    public function search(Request $request): Response
    {
        $text = $request->query('q');
        if (mb_strlen($text) > 100) {
            throw new HttpError(400, 'That is too long a search.');
        }
        $skus = $text === '' ? [] : $this->services->productIndex()->search($text);
        $products = $this->products($skus);
        if ($request->accepts('application/json')) {
            return Response::json([
                'query' => $text,
                'products' => array_map(static fn (Product $product): array => $product->toJson(), $products),
            ]);
        }

        return $this->page($request, 'search', 'Search', ['query' => $text, 'products' => $products]);
    }

    /**
     * @param list<string> $skus
     * @return list<Product> in the same order; what has gone from the catalogue since it was indexed is left out
     */
    private function products(array $skus): array
    {
        if ($skus === []) {
            return [];
        }
        $all = $this->services->catalogue()->all();

        return array_values(array_filter(array_map(static fn (string $sku): ?Product => $all[$sku] ?? null, $skus)));
    }
}
