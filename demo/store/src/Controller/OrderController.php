<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use DateTimeImmutable;
use DateTimeZone;
use Exception;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;

final class OrderController extends Controller
{
    private const PAGE = 1000;

    public function show(Request $request, string $number): Response
    {
        if (preg_match('/\A[1-9]\d{0,17}\z/', $number) !== 1) {
            throw new HttpError(404, 'There is no such order.');
        }
        $order = $this->services->orders()->order((int) $number) ?? throw new HttpError(404, 'There is no such order.');
        if (!$request->accepts('text/html')) {
            return Response::json($order);
        }

        return $this->page($request, 'order', 'Order ' . $number, ['order' => $order]);
    }

    /**
     * Orders as JSON: since (ISO 8601 or seconds since 1970), after (a number: the last one of the page before),
     * limit (at most 1000), node=local (as this node's own database server has them).
     */
    public function list(Request $request): Response
    {
        $orders = $request->query('node') === 'local' ? $this->services->localOrders() : $this->services->orders();
        $limit = self::number($request->query('limit', (string) self::PAGE), 'limit');
        $page = $orders->since(
            self::time($request->query('since', '0')),
            self::number($request->query('after', '0'), 'after'),
            max(1, min($limit, self::PAGE)),
        );

        return Response::json($page);
    }

    private static function number(string $text, string $name): int
    {
        $number = filter_var($text, FILTER_VALIDATE_INT, ['options' => ['min_range' => 0]]);

        return $number === false ? throw new HttpError(400, $name . ' must be a whole number.') : $number;
    }

    private static function time(string $text): string
    {
        if (is_numeric($text)) {
            $text = sprintf('@%.6F', (float) $text);
        }
        try {
            $time = new DateTimeImmutable($text === '' ? '@0' : $text, new DateTimeZone('UTC'));
        } catch (Exception) {
            throw new HttpError(400, 'since must be a time: ISO 8601 or seconds since 1970.');
        }

        return $time->setTimezone(new DateTimeZone('UTC'))->format('Y-m-d H:i:s.u');
    }
}
