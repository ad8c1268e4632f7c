<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Wiki;

use mysqli;
use RuntimeException;

/** What the platform gives to this wiki: services, addresses, and secrets that the first deploy made. */
final class Platform
{
    public const ROOT = __DIR__ . '/..';
    private const SECRETS = self::ROOT . '/private/secrets.php';

    /**
     * How a service is reached.
     *
     * @return array{host: string, port: int, path: ?string, username: ?string, password: ?string}
     */
    public static function service(string $relationship): array
    {
        $found = self::decoded('RELATIONSHIPS')[$relationship][0] ?? null;
        return $found ?? throw new RuntimeException("there is no relationship $relationship");
    }

    /** A new connection to the database. */
    public static function database(): mysqli
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        $service = self::service('database');
        $login = [$service['username'], $service['password'], $service['path']];
        return new mysqli($service['host'], ...$login, port: $service['port']);
    }

    /** Address of the wiki, without a slash at its end. */
    public static function address(): string
    {
        foreach (self::decoded('ROUTES') as $url => $route) {
            if ($route['primary']) {
                return rtrim($url, '/');
            }
        }
        throw new RuntimeException('no route is the primary one');
    }

    /**
     * Secrets of this environment: they lie on a mount that no location leads to.
     *
     * @return array{secret_key: string, admin_password: string}
     */
    public static function secrets(): array
    {
        if (!is_file(self::SECRETS)) {
            throw new RuntimeException('the wiki is not installed yet: no deploy hook has run');
        }
        return require self::SECRETS;
    }

    /** Make the secrets, unless they are there. A reader sees the whole file or none. */
    public static function makeSecrets(): void
    {
        if (is_file(self::SECRETS)) {
            return;
        }
        $made = ['secret_key' => bin2hex(random_bytes(32)), 'admin_password' => bin2hex(random_bytes(16))];
        $staged = self::SECRETS . '.' . bin2hex(random_bytes(4));
        umask(0077);
        if (file_put_contents($staged, '<?php return ' . var_export($made, true) . ";\n") === false) {
            throw new RuntimeException("$staged cannot be written");
        }
        rename($staged, self::SECRETS);
    }

    /** @return array<string, mixed> */
    private static function decoded(string $name): array
    {
        $text = getenv("MAGENTO_CLOUD_$name") ?: getenv("PLATFORM_$name");
        return json_decode(base64_decode((string) $text, true) ?: '{}', true, flags: JSON_THROW_ON_ERROR);
    }
}
