<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Search;

use RuntimeException;
use Store\Backoff;
use Store\Log;
use Store\ServiceUnavailable;

/** Requests to the search engine: the part of the API that OpenSearch and Elasticsearch share. */
final class SearchClient
{
    private const UNREADY = [0, 429, 502, 503, 504];

    public function __construct(private readonly string $address, private readonly Log $log)
    {
    }

    /**
     * A request that may be repeated.
     *
     * @param array<mixed>|string|null $body an array goes as JSON, a string as lines of JSON
     * @param int $seconds how long one attempt may take; no further one starts after that time
     * @return array<mixed>|null the answer; null when there is no such thing (404)
     */
    public function request(string $method, string $path, array|string|null $body = null, int $seconds = 8): ?array
    {
        $backoff = new Backoff(5, $seconds);
        do {
            [$status, $answer] = $this->send($method, $path, $body, $seconds);
            if (!in_array($status, self::UNREADY, true)) {
                break;
            }
            $this->log->warning('Search attempt failed', ['status' => $status, 'error' => substr($answer, 0, 200)]);
        } while ($backoff->again());
        if ($status === 404) {
            return null;
        }
        if ($status < 200 || $status > 299) {
            $error = new RuntimeException(sprintf('%s %s answered %d %s', $method, $path, $status, substr($answer, 0, 300)));
            throw in_array($status, self::UNREADY, true) ? new ServiceUnavailable('search', $error) : $error;
        }

        return (array) json_decode($answer, true);
    }

    /**
     * @param array<mixed>|string|null $body
     * @return array{int, string} status (0: no answer) and answer or error
     */
    private function send(string $method, string $path, array|string|null $body, int $seconds): array
    {
        $handle = curl_init('http://' . $this->address . $path);
        curl_setopt_array($handle, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 2,
            CURLOPT_TIMEOUT => $seconds,
            CURLOPT_PROXY => '',
        ]);
        if ($body !== null) {
            $type = is_string($body) ? 'application/x-ndjson' : 'application/json';
            curl_setopt($handle, CURLOPT_HTTPHEADER, ['Content-Type: ' . $type]);
            curl_setopt($handle, CURLOPT_POSTFIELDS, is_string($body) ? $body : json_encode($body, JSON_THROW_ON_ERROR));
        }
        $answer = curl_exec($handle);
        $status = (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);

        return is_string($answer) ? [$status, $answer] : [0, curl_error($handle)];
    }
}
