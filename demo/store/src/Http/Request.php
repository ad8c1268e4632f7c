<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Http;

/** What the visitor sent. */
final class Request
{
    /**
     * @param array<string, mixed> $query
     * @param array<string, mixed> $form
     * @param array<string, string> $headers by lower-case name
     * @param array<string, string> $cookies
     * @param array<string, array<string, mixed>> $files as PHP's $_FILES
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        private readonly array $query = [],
        private readonly array $form = [],
        private readonly array $headers = [],
        private readonly array $cookies = [],
        private readonly array $files = [],
    ) {
    }

    public static function fromGlobals(): self
    {
        $headers = [];
        foreach ($_SERVER as $name => $value) {
            if (str_starts_with($name, 'HTTP_')) {
                $headers[strtolower(strtr(substr($name, 5), '_', '-'))] = (string) $value;
            }
        }
        $headers['content-type'] = (string) ($_SERVER['CONTENT_TYPE'] ?? '');
        $headers['content-length'] = (string) ($_SERVER['CONTENT_LENGTH'] ?? '');
        $form = $_POST;
        if (str_starts_with($headers['content-type'], 'application/json')) {
            $form = (array) json_decode((string) file_get_contents('php://input'), true);
        }

        return new self(
            (string) $_SERVER['REQUEST_METHOD'],
            rawurldecode(explode('?', (string) $_SERVER['REQUEST_URI'], 2)[0]),
            $_GET,
            $form,
            $headers,
            array_filter($_COOKIE, is_string(...)),
            $_FILES,
        );
    }

    public function header(string $name): string
    {
        return $this->headers[$name] ?? '';
    }

    public function cookie(string $name): string
    {
        return $this->cookies[$name] ?? '';
    }

    public function query(string $name, string $default = ''): string
    {
        return self::text($this->query[$name] ?? null, $default);
    }

    public function form(string $name, string $default = ''): string
    {
        return self::text($this->form[$name] ?? null, $default);
    }

    /** @return array<string, mixed>|null an entry of $_FILES for one file */
    public function file(string $name): ?array
    {
        $file = $this->files[$name] ?? null;

        return is_array($file) && is_string($file['name'] ?? null) ? $file : null;
    }

    /** Browsers name text/html; programs name application/json or anything. */
    public function accepts(string $type): bool
    {
        return str_contains($this->header('accept'), $type);
    }

    public function isSecure(): bool
    {
        return $this->header('x-forwarded-proto') === 'https';
    }

    private static function text(mixed $value, string $default): string
    {
        return is_scalar($value) ? trim((string) $value) : $default;
    }
}
