<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Controller;

use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;
use Store\Media\MediaStorage;

final class MediaController extends Controller
{
    /** Stores a multipart "file", or a raw body under ?name= or the header X-File-Name. */
    public function store(Request $request): Response
    {
        if ((int) $request->header('content-length') > MediaStorage::MAXIMUM_BYTES) {
            throw new HttpError(413, 'A file may have at most ' . MediaStorage::MAXIMUM_BYTES . ' bytes.');
        }
        $file = $request->file('file');
        $name = $request->query('name') ?: $request->form('name') ?: $request->header('x-file-name')
            ?: (string) ($file['name'] ?? '');
        if ($file !== null && $file['error'] !== UPLOAD_ERR_OK) {
            throw new HttpError(400, 'The file did not arrive in whole.');
        }
        $content = fopen($file === null ? 'php://input' : $file['tmp_name'], 'rb');
        $this->services->media()->store($name, $content);
        $path = '/media/' . rawurlencode($name);

        return Response::json(['name' => $name, 'url' => $path], 201)->with('Location', $path);
    }

    public function show(Request $request, string $name): Response
    {
        $path = $this->services->media()->path($name) ?? throw new HttpError(404, 'There is no such file.');

        return Response::file($path, MediaStorage::type($name))->with('Content-Security-Policy', "default-src 'none'");
    }
}
