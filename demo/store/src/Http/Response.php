<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Http;

/** What the visitor gets. */
final class Response
{
    /** @var list<array{string, string, int}> name, value, lifetime in seconds */
    private array $cookies = [];

    /** @param array<string, string> $headers */
    public function __construct(
        public readonly int $status,
        public readonly string $body,
        private array $headers = [],
        private readonly ?string $file = null,
    ) {
    }

    public static function html(string $body, int $status = 200): self
    {
        return new self($status, $body, [
            'Content-Type' => 'text/html; charset=utf-8',
            'Cache-Control' => 'private, no-cache',
            'Content-Security-Policy' => "default-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
        ]);
    }

    /** @param array<mixed> $value */
    public static function json(array $value, int $status = 200): self
    {
        $body = json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) . "\n";

        return new self($status, $body, ['Content-Type' => 'application/json', 'Cache-Control' => 'no-store']);
    }

    public static function redirect(string $path): self
    {
        return new self(303, '', ['Location' => $path, 'Cache-Control' => 'no-store']);
    }

    public static function file(string $path, string $type): self
    {
        return new self(200, '', ['Content-Type' => $type, 'Content-Length' => (string) filesize($path)], $path);
    }

    public function with(string $header, string $value): self
    {
        $this->headers[$header] = $value;

        return $this;
    }

    public function withCookie(string $name, string $value, int $seconds): self
    {
        $this->cookies[] = [$name, $value, $seconds];

        return $this;
    }

    public function send(Request $request): void
    {
        http_response_code($this->status);
        header_remove('X-Powered-By');
        header('X-Node: ' . gethostname());
        header('X-Content-Type-Options: nosniff');
        header('X-Frame-Options: SAMEORIGIN');
        foreach ($this->headers as $name => $value) {
            header($name . ': ' . $value);
        }
        foreach ($this->cookies as [$name, $value, $seconds]) {
            setcookie($name, $value, [
                'expires' => time() + $seconds,
                'path' => '/',
                'httponly' => true,
                'samesite' => 'Lax',
                'secure' => $request->isSecure(),
            ]);
        }
        if ($request->method === 'HEAD') {
            return;
        }
        if ($this->file === null) {
            echo $this->body;
        } else {
            readfile($this->file);
        }
    }
}
