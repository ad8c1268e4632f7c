<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

require __DIR__ . '/../src/autoload.php';

Store\Application::run(dirname(__DIR__));
