<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use Store\Cart\Cart;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;
use Store\Order\EmptyOrder;
use Store\ServiceUnavailable;
use Store\Session\Session;

final class CheckoutController extends Controller
{
    /** Turns the cart into an order. The same Idempotency-Key always gets the same order, whatever the cart holds by then. */
    public function checkout(Request $request): Response
    {
        $key = $request->header('idempotency-key') ?: $request->form('idempotency_key');
        if (preg_match('/\A[\x21-\x7e]{1,128}\z/', $key) !== 1) {
            throw new HttpError(400, 'An Idempotency-Key of 1 to 128 printable characters is needed.');
        }
        $orders = $this->services->orders();
        $number = $orders->numberByKey($key);
        if ($number !== null) {
            return $this->answer($request, $number);
        }
        $session = $this->session($request);
        $cart = Cart::fromSession($session->get('cart'));
        try {
            $number = $orders->place($key, $cart, (string) gethostname());
        } catch (EmptyOrder $error) {
            throw new HttpError(409, $error->getMessage());
        }

        return $this->withSession($this->answer($request, $number), $session, $this->emptied($session, $cart));
    }

    /** The order stands whether or not the cart can be emptied. */
    private function emptied(Session $session, Cart $cart): Cart
    {
        try {
            $session->set('cart', []);

            return new Cart();
        } catch (ServiceUnavailable $error) {
            $this->services->log()->warning('Cart was not emptied', ['error' => $error->getMessage()]);

            return $cart;
        }
    }

    private function answer(Request $request, int $number): Response
    {
        return $request->accepts('text/html')
            ? Response::redirect('/orders/' . $number)
            : Response::json(['order' => $number]);
    }
}
