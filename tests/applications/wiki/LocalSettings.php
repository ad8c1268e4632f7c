<?php

// SPDX-License-Identifier: GPL-3.0-or-later

// MediaWiki's settings. Nothing in here is of one environment: that comes from the platform's variables.

use Wiki\Platform;

if (!defined('MEDIAWIKI')) {
    exit;
}

require_once '/app/src/Platform.php';

$wgSitename = 'Wiki';
$wgMetaNamespace = 'Project';
$wgLanguageCode = 'en';
$wgSecretKey = Platform::secrets()['secret_key'];

// Addresses. A visitor keeps the scheme that he came by.
$wgCanonicalServer = Platform::address();
$wgServer = preg_replace('/^https?:/', '', $wgCanonicalServer);
$wgScriptPath = '';
$wgArticlePath = '/wiki/$1';
$wgMainPageIsDomainRoot = true;

// Database.
$wikiDatabase = Platform::service('database');
$wgDBtype = 'mysql';
$wgDBserver = "{$wikiDatabase['host']}:{$wikiDatabase['port']}";
$wgDBname = $wikiDatabase['path'];
$wgDBuser = $wikiDatabase['username'];
$wgDBpassword = $wikiDatabase['password'];
$wgDBTableOptions = 'ENGINE=InnoDB, DEFAULT CHARSET=binary';

// Cache, and sessions that survive the loss of a node.
foreach (['cache', 'session'] as $wikiName) {
    $wikiRedis = Platform::service($wikiName);
    $wgObjectCaches["redis-$wikiName"] = [
        'class' => RedisBagOStuff::class,
        'servers' => ["{$wikiRedis['host']}:{$wikiRedis['port']}"],
        'password' => $wikiRedis['password'],
        'persistent' => false,
    ];
}
$wgMainCacheType = $wgParserCacheType = $wgMessageCacheType = 'redis-cache';
$wgSessionCacheType = 'redis-session';

// The code is read-only, and the time of a file says nothing: a release gives equal files equal times.
$wgInvalidateCacheOnLocalSettingsChange = false;
$wgCacheDirectory = false;

// Files, on a mount that all nodes share.
$wgEnableUploads = true;
$wgUploadDirectory = '/app/wiki/images';
$wgUploadPath = '/images';

// Jobs are the cron's, and no visitor's.
$wgJobRunRate = 0;

// What goes wrong is in the log of nginx, which PHP-FPM hands it to. Warnings and notices PHP logs by itself.
$wgHooks['LogException'][] = static function (Throwable $error): void {
    if (!$error instanceof ErrorException) {
        error_log((string) $error);
    }
};

$wgEnableEmail = false;
$wgPingback = false;

wfLoadSkin('Vector');
$wgDefaultSkin = 'vector';
foreach (require '/app/extensions.php' as $wikiName) {
    wfLoadExtension($wikiName);
}
unset($wikiDatabase, $wikiRedis, $wikiName);
