<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store;

use InvalidArgumentException;
use Store\Controller\CartController;
use Store\Controller\CatalogueController;
use Store\Controller\CheckoutController;
use Store\Controller\MediaController;
use Store\Controller\OrderController;
use Store\Controller\SearchController;
use Store\Http\HttpError;
use Store\Http\Request;
use Store\Http\Response;
use Store\Http\Router;
use Throwable;

/** The front controller: one request in, one response out, whatever fails. */
final class Application
{
    private function __construct(private readonly string $root)
    {
    }

    public static function run(string $root): void
    {
        $request = Request::fromGlobals();
        (new self($root))->answer($request)->send($request);
    }

    private function answer(Request $request): Response
    {
        try {
            $services = new Services($this->root, Config::load($this->root));
        } catch (NotInstalled) {
            return $this->failure($request, null, 503, 'The shop is not installed yet.');
        }
        try {
            [$handler, $values] = $this->router($services)->match($request->method, $request->path);

            return $handler($request, ...array_values($values));
        } catch (HttpError $error) {
            $response = $this->failure($request, $services, $error->status, $error->getMessage());
            foreach ($error->headers as $name => $value) {
                $response->with($name, $value);
            }

            return $response;
        } catch (InvalidArgumentException $error) {
            return $this->failure($request, $services, 422, ucfirst($error->getMessage()) . '.');
        } catch (ServiceUnavailable $error) {
            $this->log($services, $request, $error);
            $message = 'The ' . $error->service . ' is unavailable just now. Please try again in a moment.';

            return $this->failure($request, $services, 503, $message)->with('Retry-After', '5');
        } catch (Throwable $error) {
            $this->log($services, $request, $error);

            return $this->failure($request, $services, 500, 'Something went wrong on our side.');
        } finally {
            // Before the answer is sent: a slow visitor must not hold connections.
            $services->close();
        }
    }

    private function router(Services $services): Router
    {
        $catalogue = new CatalogueController($services);
        $cart = new CartController($services);
        $orders = new OrderController($services);
        $media = new MediaController($services);

        return (new Router())
            ->add('GET', '/', $catalogue->home(...))
            ->add('GET', '/category/{slug}', $catalogue->category(...))
            ->add('GET', '/product/{sku}', $catalogue->product(...))
            ->add('GET', '/search', (new SearchController($services))->search(...))
            ->add('GET', '/cart', $cart->show(...))
            ->add('POST', '/cart', $cart->change(...))
            ->add('POST', '/checkout', (new CheckoutController($services))->checkout(...))
            ->add('GET', '/orders', $orders->list(...))
            ->add('GET', '/orders/{number}', $orders->show(...))
            ->add('POST', '/media', $media->store(...))
            ->add('GET', '/media/{name}', $media->show(...));
    }

    private function failure(Request $request, ?Services $services, int $status, string $message): Response
    {
        if ($services === null || !$request->accepts('text/html')) {
            return Response::json(['error' => $message], $status);
        }
        $page = $services->view()->page('error', 'Sorry', 0, ['status' => $status, 'message' => $message]);

        return Response::html($page, $status);
    }

    private function log(Services $services, Request $request, Throwable $error): void
    {
        $services->log()->error($error->getMessage(), [
            'request' => $request->method . ' ' . $request->path,
            'error' => $error::class,
            'at' => $error->getFile() . ':' . $error->getLine(),
        ]);
    }
}
