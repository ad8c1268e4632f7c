<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use Store\AtomicFile;
use Store\Catalogue\Catalogue;
use Store\Catalogue\Product;
use Store\Config;
use Store\Database\Connection;
use Store\FileLock;
use Store\Services;

/** Brings an installation to the state it should have, whatever state it is in, and names what it had to change. */
final class Installer
{
    public function __construct(private readonly string $root)
    {
    }

    /**
     * @param array<string, mixed> $environment what app/etc/env.php shall hold
     * @return list<string> what was changed
     */
    public function install(array $environment): array
    {
        return $this->locked(function () use ($environment): array {
            $services = new Services($this->root, new Config($environment));
            $products = SampleData::products($this->root);
            $schema = (new Schema($services->database()))->upgrade() !== [];
            $added = $this->addProducts($services, $products);
            $changed = [
                'schema' => $schema,
                'products' => $added,
                'pictures' => $this->drawPictures($products),
                'static version' => AtomicFile::update(
                    $this->root . '/pub/static/deployed_version.txt',
                    $this->version() . "\n",
                ),
                // Last of the files: with it the shop is installed, and answers.
                'env.php' => AtomicFile::update(
                    Config::file($this->root),
                    "<?php\nreturn " . var_export($environment, true) . ";\n",
                    0o640,
                ),
            ];
            $changed['search index'] = $this->publish($services);

            return array_keys(array_filter($changed));
        });
    }

    /** @return list<int> the schema steps that were done */
    public function upgrade(): array
    {
        return $this->locked(function (): array {
            $services = new Services($this->root, Config::load($this->root));
            $steps = (new Schema($services->database()))->upgrade();
            AtomicFile::update($this->root . '/pub/static/deployed_version.txt', $this->version() . "\n");
            if ($steps !== []) {
                $services->cache()->clean(Catalogue::TAG);
            }

            return $steps;
        });
    }

    private function locked(callable $work): array
    {
        return FileLock::hold($this->root . '/var/locks', 'setup', 60, $work);
    }

    /** @param list<Product> $products */
    private function addProducts(Services $services, array $products): bool
    {
        return $services->database()->transaction(function (Connection $connection) use ($products): bool {
            $known = array_column($connection->rows('SELECT sku FROM store_product'), 'sku');
            $missing = array_filter($products, static fn (Product $product) => !in_array($product->sku, $known, true));
            if ($missing !== []) {
                AtomicFile::write($this->unpublished(), '');
            }
            foreach ($missing as $product) {
                $connection->execute(
                    'INSERT INTO store_product (sku, name, category, price_cents, description, featured)'
                    . ' VALUES (?, ?, ?, ?, ?, ?)',
                    [
                        $product->sku,
                        $product->name,
                        $product->category,
                        $product->priceCents,
                        $product->description,
                        (int) $product->featured,
                    ],
                );
            }

            return $missing !== [];
        }, repeatable: true);
    }

    /**
     * Many small files are slow on a replicated file system, so one checksum tells whether they need looking at.
     *
     * @param list<Product> $products
     */
    private function drawPictures(array $products): bool
    {
        $directory = $this->root . '/pub/media/catalog';
        $pictures = [];
        foreach ($products as $product) {
            $pictures[$product->sku] = Picture::svg($product);
        }
        $checksum = hash('sha256', serialize($pictures)) . "\n";
        if (is_file($directory . '/.checksum') && file_get_contents($directory . '/.checksum') === $checksum) {
            return false;
        }
        if (!is_dir($directory)) {
            mkdir($directory, 0o775);
        }
        foreach ($pictures as $sku => $svg) {
            AtomicFile::update($directory . '/' . $sku . '.svg', $svg);
        }
        AtomicFile::write($directory . '/.checksum', $checksum);

        return true;
    }

    /**
     * Brings changed products into cache and search. The mark stays until that is done, so that an installation that
     * failed half-way goes on from there.
     */
    private function publish(Services $services): bool
    {
        $index = $services->productIndex();
        if (!is_file($this->unpublished())) {
            return $index->ensure($services->catalogue()->all());
        }
        $services->cache()->clean(Catalogue::TAG);
        $index->rebuild($services->catalogue()->all());
        unlink($this->unpublished());

        return true;
    }

    private function unpublished(): string
    {
        return $this->root . '/var/.products-unpublished';
    }

    /** The version of the static files: the same on all nodes that have the same code. */
    private function version(): string
    {
        return hash_file('xxh64', $this->root . '/pub/assets/store.css');
    }
}
