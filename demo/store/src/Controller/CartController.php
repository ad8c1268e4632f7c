<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use InvalidArgumentException;
use Store\Cart\Cart;
use Store\Cart\CartLine;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;

final class CartController extends Controller
{
    public function show(Request $request): Response
    {
        $cart = Cart::fromSession($this->session($request)->get('cart'));
        $lines = $cart->isEmpty() ? [] : $cart->lines($this->services->catalogue()->all());
        if ($request->accepts('application/json')) {
            return Response::json(self::toJson($cart, $lines));
        }

        return $this->page($request, 'cart', 'Your cart', [
            'lines' => $lines,
            'totalCents' => Cart::totalCents($lines),
            'idempotencyKey' => bin2hex(random_bytes(16)),
        ], cartCount: $cart->count());
    }

    /** Adds qty (1 when not given) of a SKU; with mode=set the quantity becomes qty, and 0 takes it out. */
    public function change(Request $request): Response
    {
        $sku = $request->form('sku');
        $quantity = filter_var($request->form('qty', '1'), FILTER_VALIDATE_INT);
        if ($quantity === false) {
            throw new InvalidArgumentException('qty must be a whole number');
        }
        if ($sku === '' || $this->services->catalogue()->product($sku) === null) {
            throw new HttpError(404, 'We do not sell that.');
        }
        $session = $this->session($request);
        $cart = Cart::fromSession($session->get('cart'));
        $cart = $request->form('mode') === 'set' ? $cart->with($sku, $quantity) : $cart->add($sku, $quantity);
        $session->set('cart', $cart->quantities);
        $response = $request->accepts('text/html')
            ? Response::redirect('/cart')
            : Response::json(self::toJson($cart, $cart->lines($this->services->catalogue()->all())));

        return $this->withSession($response, $session, $cart);
    }

    /**
     * @param list<CartLine> $lines
     * @return array<string, mixed>
     */
    private static function toJson(Cart $cart, array $lines): array
    {
        return [
            'items' => array_map(static fn (CartLine $line): array => [
                'sku' => $line->product->sku,
                'name' => $line->product->name,
                'qty' => $line->quantity,
                'price_cents' => $line->product->priceCents,
                'total_cents' => $line->totalCents(),
            ], $lines),
            'count' => $cart->count(),
            'total_cents' => Cart::totalCents($lines),
        ];
    }
}
