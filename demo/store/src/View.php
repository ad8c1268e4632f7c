<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

/** Renders the templates: plain PHP, every value escaped by $e. */
final class View
{
    public function __construct(private readonly string $root, private readonly string $baseUrl)
    {
    }

    /** @param array<string, mixed> $values */
    public function page(string $template, string $title, int $cartCount, array $values): string
    {
        $page = $this->part('layout', [
            'title' => $title,
            'cartCount' => $cartCount,
            'baseUrl' => $this->baseUrl,
            'content' => $this->part($template, $values),
            'active' => $values['category'] ?? '',
            'query' => $values['query'] ?? '',
        ]);
        // The templates say which release they are of; so does the process that made a page of them.
        $release = getenv('MAGENTO_CLOUD_TREE_ID');

        return $release === false ? $page : "$page<!-- release: $release -->\n";
    }

    /** @param array<string, mixed> $values */
    public function part(string $template, array $values): string
    {
        $values['e'] = static fn (string|int $text): string => htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE);
        $values['asset'] = $this->asset(...);
        $values['part'] = $this->part(...);

        return (static function (string $file, array $variables): string {
            extract($variables, EXTR_SKIP);
            ob_start();
            try {
                require $file;

                return (string) ob_get_contents();
            } finally {
                ob_end_clean();
            }
        })($this->root . '/templates/' . $template . '.phtml', $values);
    }

    /** The address of a static file with its content's hash, so that browsers may keep it for good. */
    private function asset(string $name): string
    {
        return sprintf('/assets/%s?v=%s', $name, hash_file('xxh32', $this->root . '/pub/assets/' . $name));
    }
}
