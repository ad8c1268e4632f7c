<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use Store\Catalogue\Catalogue;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;

final class CatalogueController extends Controller
{
    public function home(Request $request): Response
    {
        return $this->page($request, 'home', 'Coffee gear that stands', [
            'products' => $this->services->catalogue()->featured(),
            'categories' => Catalogue::CATEGORIES,
        ]);
    }

    public function category(Request $request, string $slug): Response
    {
        $name = Catalogue::CATEGORIES[$slug] ?? throw new HttpError(404, 'There is no such shelf.');

        return $this->page($request, 'category', $name, [
            'category' => $slug,
            'name' => $name,
            'products' => $this->services->catalogue()->category($slug),
        ]);
    }

    public function product(Request $request, string $sku): Response
    {
        $product = $this->services->catalogue()->product($sku) ?? throw new HttpError(404, 'We do not sell that.');
        if ($request->accepts('application/json')) {
            return Response::json($product->toJson());
        }
        $others = array_filter(
            $this->services->catalogue()->category($product->category),
            static fn ($other): bool => $other->sku !== $product->sku,
        );

        return $this->page($request, 'product', $product->name, [
            'product' => $product,
            'category' => $product->category,
            'categoryName' => Catalogue::CATEGORIES[$product->category],
            'others' => array_slice($others, 0, 4),
        ]);
    }
}
