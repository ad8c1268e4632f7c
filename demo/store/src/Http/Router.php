<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Http;

use Closure;

/** Finds the handler of a path; "{name}" in a pattern stands for one segment. */
final class Router
{
    /** @var list<array{string, string, Closure}> */
    private array $routes = [];

    public function add(string $method, string $pattern, Closure $handler): self
    {
        $expression = preg_replace('/\\\\{(\w+)\\\\}/', '(?<$1>[^/]+)', preg_quote($pattern, '#'));
        $this->routes[] = [$method, '#\A' . $expression . '\z#', $handler];

        return $this;
    }

    /** @return array{Closure, array<string, string>} handler and the values of the named segments */
    public function match(string $method, string $path): array
    {
        $allowed = [];
        foreach ($this->routes as [$routeMethod, $expression, $handler]) {
            if (preg_match($expression, $path, $match) !== 1) {
                continue;
            }
            if ($routeMethod === ($method === 'HEAD' ? 'GET' : $method)) {
                return [$handler, array_filter($match, is_string(...), ARRAY_FILTER_USE_KEY)];
            }
            $allowed[] = $routeMethod;
        }
        if ($allowed === []) {
            throw new HttpError(404, 'There is no such page.');
        }
        throw new HttpError(405, 'This is not how this page works.', ['Allow' => implode(', ', $allowed)]);
    }
}
