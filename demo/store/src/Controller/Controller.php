<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use Store\Cart\Cart;
use Store\Http\Request;
use Store\Http\Response;
use Store\Services;
use Store\Session\Session;

/** What all pages share. */
abstract class Controller
{
    /** The number on the cart's button; a cookie, so that a page view needs no session. */
    protected const COUNT_COOKIE = 'cart_count';

    public function __construct(protected readonly Services $services)
    {
    }

    /** @param array<string, mixed> $values */
    protected function page(
        Request $request,
        string $template,
        string $title,
        array $values,
        int $status = 200,
        ?int $cartCount = null,
    ): Response {
        $count = $cartCount ?? max(0, (int) $request->cookie(self::COUNT_COOKIE));

        return Response::html($this->services->view()->page($template, $title, $count, $values), $status);
    }

    protected function session(Request $request): Session
    {
        return $this->services->session($request->cookie(Session::COOKIE));
    }

    protected function withSession(Response $response, Session $session, Cart $cart): Response
    {
        return $response
            ->withCookie(Session::COOKIE, $session->id(), Session::LIFETIME)
            ->withCookie(self::COUNT_COOKIE, (string) $cart->count(), Session::LIFETIME);
    }
}
