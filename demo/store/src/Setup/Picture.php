<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Store\Setup;

use Store\Catalogue\Product;

/** Draws a product as SVG: a shape for its category, colours that follow from its SKU. */
final class Picture
{
    /** Background, light, main and dark colour. */
    private const PALETTES = [
        ['#f6e7d8', '#fbf4ec', '#b5532d', '#4a2618'],
        ['#dfe9e4', '#f2f7f4', '#2f6f62', '#173a34'],
        ['#f7e3b5', '#fdf5de', '#c98a1b', '#533810'],
        ['#e3e4f0', '#f4f4fa', '#4d568f', '#23284a'],
        ['#f4dcd9', '#fbf0ee', '#b0413e', '#4b1b1a'],
        ['#dde7ee', '#f1f6f9', '#35688a', '#173244'],
    ];

    private const SHAPES = [
        'beans' => '<path class="m" d="M130 110h140l14 200q2 24-22 24H138q-24 0-22-24z"/><path class="d" d="M130 110h140l4 46H126z"/>'
            . '<rect class="l" x="152" y="196" width="96" height="92" rx="10"/>'
            . '<g transform="rotate(24 200 242)"><ellipse class="d" cx="200" cy="242" rx="22" ry="32"/>'
            . '<path class="s" d="M200 212q-12 16 0 30t0 30"/></g>',
        'grinders' => '<path class="s k" d="M200 96h86"/><circle class="m" cx="292" cy="92" r="18"/><path class="d" d="M158 106h84l14 44H144z"/>'
            . '<rect class="l" x="144" y="150" width="112" height="64"/><path class="m" d="M144 214h112l-8 110q-2 14-16 14h-64q-14 0-16-14z"/>'
            . '<path class="s t" d="M160 166v34M180 166v34M200 166v34M220 166v34M240 166v34"/>',
        'kettles' => '<path class="s k" d="M250 190q84-20 70 92q-6 34-46 30"/><path class="m" d="M146 168h112l26 148q2 20-18 20H138q-20 0-18-20z"/>'
            . '<path class="s k" d="M128 286q-60-10-58-84q0-42-34-44"/><path class="d" d="M140 150h124l4 22H136z"/>'
            . '<circle class="d" cx="202" cy="136" r="14"/><path class="l" d="M160 190h14l-10 120h-16z"/>',
        'pour-over' => '<path class="m" d="M108 112h184l-66 118h-52z"/><path class="s t" d="M146 124l40 96M200 124v96M254 124l-40 96"/>'
            . '<rect class="d" x="148" y="228" width="104" height="14" rx="7"/>'
            . '<path class="s k" d="M160 242l-34 98M240 242l34 98M200 242v98"/><path class="l" d="M192 258q8-14 16 0q0 12-8 12t-8-12z"/>',
        'espresso' => '<path class="m" d="M92 116h216v58H92z"/><rect class="d" x="92" y="318" width="216" height="22" rx="8"/>'
            . '<path class="d" d="M246 174h62v144h-62z"/><path class="d" d="M140 174h60v22h-60z"/><path class="s k" d="M142 206h-62"/>'
            . '<path class="m" d="M134 196h72v16h-72z"/><path class="s t" d="M160 216v38M180 216v38"/>'
            . '<path class="l" d="M138 262h64l-8 46q-2 8-10 8h-28q-8 0-10-8z"/><circle class="l" cx="276" cy="144" r="16"/>',
        'cups' => '<path class="s t" d="M168 92q-14 20 0 36t0 34M208 92q-14 20 0 36t0 34"/><path class="s k" d="M262 214q56-8 50 42q-4 34-62 34"/>'
            . '<path class="m" d="M112 184h156l-14 104q-4 28-34 28h-60q-30 0-34-28z"/><ellipse class="d" cx="190" cy="186" rx="78" ry="14"/>'
            . '<path class="d" d="M140 312h22l-6 28h-12zM218 312h22l-4 28h-12zM180 316h22l-5 26h-12z"/>',
        'scales' => '<path class="l" d="M152 128h96l-12 106h-72z"/><path class="d" d="M160 178h80l-6 56h-68z"/>'
            . '<rect class="m" x="96" y="236" width="208" height="22" rx="11"/><path class="d" d="M112 258h176l14 66q2 14-12 14H110q-14 0-12-14z"/>'
            . '<rect class="l" x="150" y="278" width="100" height="40" rx="8"/><path class="s t d2" d="M166 298h18M192 298h18M218 298h16"/>',
        'tools' => '<path class="s k" d="M252 186q58 0 52 54q-4 44-52 46"/><rect class="l" x="140" y="150" width="112" height="186" rx="12"/>'
            . '<path class="m" d="M140 214h112v110q0 12-12 12h-88q-12 0-12-12z"/><rect class="d" x="130" y="138" width="132" height="20" rx="8"/>'
            . '<path class="s t d2" d="M196 138V86"/><circle class="m" cx="196" cy="80" r="14"/><rect class="d" x="140" y="204" width="112" height="10"/>',
    ];

    public static function svg(Product $product): string
    {
        $seed = crc32($product->sku);
        [$background, $light, $main, $dark] = self::PALETTES[$seed % count(self::PALETTES)];
        $tilt = intdiv($seed, 7) % 9 - 4;
        $scale = 0.9 + (intdiv($seed, 97) % 11) / 100;
        $name = htmlspecialchars($product->name, ENT_XML1 | ENT_QUOTES);
        $shape = self::SHAPES[$product->category];

        return <<<SVG
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img" aria-label="{$name}">
            <style>.m{fill:{$main}}.d{fill:{$dark}}.l{fill:{$light}}.s{fill:none;stroke:{$dark};stroke-width:8;stroke-linecap:round}
            .k{stroke-width:14}.t{stroke:{$light};stroke-width:7}.d2{stroke:{$dark}}</style>
            <rect width="400" height="400" fill="{$background}"/><circle cx="200" cy="214" r="150" fill="{$light}" opacity=".55"/>
            <ellipse cx="200" cy="346" rx="118" ry="14" fill="{$dark}" opacity=".16"/>
            <g transform="translate(200 220) rotate({$tilt}) scale({$scale}) translate(-200 -220)">{$shape}</g>
            </svg>

            SVG;
    }
}
