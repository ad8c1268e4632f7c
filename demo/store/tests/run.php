<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

// Tests of the pure logic, with nothing but PHP: php tests/run.php
require __DIR__ . '/../src/autoload.php';

use Store\Backoff;
use Store\Cart\Cart;
use Store\Catalogue\Catalogue;
use Store\Catalogue\Product;
use Store\Database\Failure;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Router;
use Store\Media\MediaStorage;
use Store\Money;
use Store\Setup\Picture;
use Store\Setup\SampleData;
use Store\Setup\Settings;

$failures = 0;
$same = static function (mixed $expected, mixed $actual, string $what) use (&$failures): void {
    if ($expected !== $actual) {
        ++$failures;
        fwrite(STDERR, sprintf("FAILED %s: expected %s, got %s\n", $what, var_export($expected, true), var_export($actual, true)));
    }
};
$throws = static function (string $class, callable $work, string $what) use (&$failures): ?Throwable {
    try {
        $work();
    } catch (Throwable $error) {
        if ($error instanceof $class) {
            return $error;
        }
    }
    ++$failures;
    fwrite(STDERR, sprintf("FAILED %s: no %s\n", $what, $class));

    return null;
};

$same('€0.05', Money::format(5), 'cents below one euro');
$same('€1,299.00', Money::format(129900), 'thousands');
$same('-€0.50', Money::format(-50), 'negative amounts');

$product = static fn (string $sku, int $cents): Product => new Product($sku, 'Name', 'cups', $cents, '', false);
$products = ['A' => $product('A', 199), 'B' => $product('B', 1000)];
$cart = (new Cart())->add('A', 2)->add('A', 1)->add('B', 1)->add('GONE', 4);
$lines = $cart->lines($products);
$same(8, $cart->count(), 'count of a cart');
$same(1597, Cart::totalCents($lines), 'total of a cart, without what is no longer sold');
$same(['B' => 1], (new Cart(['A' => 1, 'B' => 1]))->with('A', 0)->quantities, 'zero takes a line out');
$same(Cart::MAXIMUM_QUANTITY, (new Cart(['A' => 98]))->add('A', 50)->count(), 'quantities are capped');
$same(true, Cart::fromSession('broken')->isEmpty(), 'a broken session is an empty cart');
$throws(InvalidArgumentException::class, static fn () => (new Cart())->add('A', 0), 'adding nothing');
$throws(InvalidArgumentException::class, static fn () => (new Cart())->with('A', 100), 'too many');

$router = (new Router())
    ->add('GET', '/orders/{number}', static fn (): string => 'order')
    ->add('POST', '/cart', static fn (): string => 'cart');
[$handler, $values] = $router->match('GET', '/orders/17');
$same(['order', ['number' => '17']], [$handler(), $values], 'a named segment');
$same('order', $router->match('HEAD', '/orders/17')[0](), 'HEAD is answered as GET');
$same(404, $throws(HttpError::class, static fn () => $router->match('GET', '/orders/1/2'), 'two segments')?->status, 'no such page');
$same(404, $throws(HttpError::class, static fn () => $router->match('GET', "/cart\n"), 'line feed')?->status, 'a line feed is no end');
$error = $throws(HttpError::class, static fn () => $router->match('GET', '/cart'), 'wrong method');
$same([405, 'POST'], [$error?->status, $error?->headers['Allow']], 'the wrong method names the right one');

foreach (['a.txt', 'probe-12_3.bin', 'A.b.png', str_repeat('a', 100) . '.txt'] as $name) {
    $same(true, MediaStorage::isSafeName($name), 'safe name ' . $name);
}
foreach (['', '.txt', '../a.txt', 'a/b.txt', 'a.php', 'a.svg', 'a.html', "a.txt\n", 'a.txt.php', 'ä.txt', 'a', str_repeat('a', 101) . '.txt'] as $name) {
    $same(false, MediaStorage::isSafeName($name), 'unsafe name ' . $name);
}

$sql = static fn (int $code): mysqli_sql_exception => new mysqli_sql_exception('', $code);
foreach ([1213, 1205, 1047, 1317, 2006, 2013, 2002] as $code) {
    $same(true, Failure::isTransient($sql($code)), 'error ' . $code . ' is transient');
}
$same(false, Failure::isConnectionLost($sql(1213)), 'a deadlock is a known outcome');
$same(false, Failure::isTransient($sql(1062)), 'a duplicate key stays one');

$backoff = new Backoff(3, 10.0);
$same([true, true, false], [$backoff->again(), $backoff->again(), $backoff->again()], 'three attempts are two repetitions');
$same(false, (new Backoff(9, 0.0))->again(), 'no attempt starts after the deadline');

$request = new Request('GET', '/', query: ['q' => ['x'], 'n' => ' 1 '], headers: ['accept' => 'text/html,*/*']);
$same(['', '1', true], [$request->query('q'), $request->query('n'), $request->accepts('text/html')], 'request values');

$sample = SampleData::products(dirname(__DIR__));
$same(64, count(array_unique(array_column($sample, 'sku'))), 'sample products have their own SKUs');
foreach ($sample as $item) {
    $same(true, isset(Catalogue::CATEGORIES[$item->category]) && $item->priceCents > 0, 'sample product ' . $item->sku);
    $same(true, simplexml_load_string(Picture::svg($item)) !== false, 'picture of ' . $item->sku);
}

$redis = ['host' => '127.0.0.1', 'port' => 6370, 'password' => 'p'];
$settings = [
    'base_url' => 'http://shop.example',
    'crypt_key' => 'k',
    'log_directory' => '/var/log/store',
    'database' => ['host' => '127.0.0.1', 'port' => 3306, 'local_port' => 3307, 'name' => 'n', 'user' => 'u', 'password' => 'p'],
    'cache' => $redis + ['replica_port' => 6371],
    'session' => $redis,
    'search' => ['engine' => 'opensearch', 'host' => '127.0.0.1', 'port' => 9200, 'index_prefix' => 'store'],
];
$environment = Settings::environment(json_encode($settings), '/srv/store', 3);
$same('127.0.0.1:3307', $environment['db']['connection']['local']['host'], 'the local database server');
$cache = $environment['cache']['frontend']['default']['backend_options'];
$same(['server' => '127.0.0.1', 'port' => 6371], $cache['load_from_slave'], 'the cache is read from a replica');
$same(2, $environment['system']['default']['catalog']['search']['replicas'], 'a copy of the index on each node');
$same(0, Settings::environment(json_encode($settings), '/srv/store', 1)['session']['redis']['min_replicas'], 'one node has no replica');
unset($settings['cache']['host'], $settings['crypt_key']);
$error = $throws(InvalidArgumentException::class, static fn () => Settings::environment(json_encode($settings), '/srv/store', 3), 'missing settings');
$same('Missing settings: crypt_key, cache.host', $error?->getMessage(), 'all missing settings in one message');

echo $failures === 0 ? "all tests passed\n" : "$failures tests failed\n";
exit($failures === 0 ? 0 : 1);
