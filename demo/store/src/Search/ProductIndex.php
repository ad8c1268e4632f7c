<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Search;

use RuntimeException;
use Store\Catalogue\Product;
use Store\ServiceUnavailable;

/** The products in the search engine: an alias, so that a rebuild replaces the index in one step. */
final class ProductIndex
{
    /** How long a change of the index may take, in seconds: the first one in a cold engine is slow. */
    private const CHANGE_SECONDS = 60;

    private readonly string $alias;

    /** @param int $replicas copies of the index beside the first: one for each further node */
    public function __construct(
        private readonly SearchClient $client,
        string $prefix,
        private readonly int $replicas,
    ) {
        $this->alias = $prefix . '_product';
    }

    /** @return list<string> SKUs, best first */
    public function search(string $text, int $limit = 24): array
    {
        $answer = $this->client->request('POST', '/' . $this->alias . '/_search', [
            'size' => $limit,
            '_source' => ['sku'],
            'query' => ['bool' => ['should' => [
                ['multi_match' => [
                    'query' => $text,
                    'fields' => ['name^3', 'category^2', 'description'],
                    'fuzziness' => 'AUTO',
                    'prefix_length' => 1,
                ]],
                ['match_phrase_prefix' => ['name' => ['query' => $text, 'boost' => 2]]],
            ]]],
        ]);
        if ($answer === null) {
            throw new ServiceUnavailable('search', new RuntimeException('there is no index'));
        }

        return array_map(static fn (array $hit): string => (string) $hit['_source']['sku'], $answer['hits']['hits']);
    }

    /**
     * Makes sure that there is an index and that it has its replicas; answers whether something was missing.
     *
     * @param iterable<Product> $products
     */
    public function ensure(iterable $products): bool
    {
        $answer = $this->client->request('GET', '/' . $this->alias . '/_settings/index.number_of_replicas');
        if ($answer === null || $answer === []) {
            $this->rebuild($products);

            return true;
        }
        if ((int) reset($answer)['settings']['index']['number_of_replicas'] === $this->replicas) {
            return false;
        }
        $settings = ['index' => ['number_of_replicas' => $this->replicas]];
        $this->client->request('PUT', '/' . $this->alias . '/_settings', $settings, self::CHANGE_SECONDS);

        return true;
    }

    /** @param iterable<Product> $products */
    public function rebuild(iterable $products): void
    {
        $index = sprintf('%s_%s_%s', $this->alias, gmdate('YmdHis'), bin2hex(random_bytes(2)));
        $this->client->request('PUT', '/' . $index, [
            'settings' => ['number_of_shards' => 1, 'number_of_replicas' => $this->replicas],
            'mappings' => ['properties' => [
                'sku' => ['type' => 'keyword'],
                'name' => ['type' => 'text'],
                'category' => ['type' => 'text'],
                'description' => ['type' => 'text'],
                'price_cents' => ['type' => 'integer'],
            ]],
        ], self::CHANGE_SECONDS);
        $this->fill($index, $products);
        $this->publish($index);
    }

    /** @param iterable<Product> $products */
    private function fill(string $index, iterable $products): void
    {
        $lines = '';
        foreach ($products as $product) {
            $lines .= json_encode(['index' => ['_id' => $product->sku]], JSON_THROW_ON_ERROR) . "\n"
                . json_encode($product->toJson(), JSON_THROW_ON_ERROR) . "\n";
        }
        $answer = $this->client->request('POST', '/' . $index . '/_bulk?refresh=true', $lines, self::CHANGE_SECONDS);
        if (($answer['errors'] ?? true) !== false) {
            throw new RuntimeException('The search engine refused products');
        }
    }

    private function publish(string $index): void
    {
        $actions = [['add' => ['index' => $index, 'alias' => $this->alias]]];
        $old = array_keys($this->client->request('GET', '/' . $this->alias . '_*/_alias') ?? []);
        foreach (array_diff($old, [$index]) as $name) {
            $actions[] = ['remove_index' => ['index' => $name]];
        }
        $this->client->request('POST', '/_aliases', ['actions' => $actions], self::CHANGE_SECONDS);
    }
}
