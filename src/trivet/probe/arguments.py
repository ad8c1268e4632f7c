# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as command-line arguments and back: how they travel to the probe's own process."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import NoReturn

from trivet.errors import InputError
from trivet.probe.contracts import CONTRACTS, DEFAULT
from trivet.probe.settings import ProbeSettings

_NUMBERS = (
    ("rate", float, "requests per second, all URLs together"),
    ("duration", float, "seconds until the load ends by itself"),
    ("timeout", float, "seconds from a request's scheduled start until it counts as failed"),
    ("connect-timeout", float, "seconds for one connection"),
    ("clients", int, "virtual clients in normal times"),
    ("max-in-flight", int, "most requests at once"),
    ("verify-timeout", float, "seconds that replication of the orders may take"),
    ("seed", int, "makes the order of requests repeatable"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message, "python -m trivet.probe --help")


def parser() -> argparse.ArgumentParser:
    """The parser of `python -m trivet.probe`; a bad argument raises InputError."""
    defaults = {entry.name: entry.default for entry in fields(ProbeSettings)}
    parse = _Parser(prog="python -m trivet.probe", description=__doc__, allow_abbrev=False)
    parse.add_argument("urls", nargs="+", metavar="URL", help="base URLs of the application, asked in turn")
    for name, kind, text in _NUMBERS:
        parse.add_argument(f"--{name}", type=kind, default=defaults[_attribute(name)], help=text)
    parse.add_argument("--verify", default="", metavar="URL,…", help="where to look up the orders afterwards")
    parse.add_argument("--host", help="Host header, where the URLs are bare addresses")
    parse.add_argument("--insecure", action="store_true", help="do not verify certificates")
    parse.add_argument("--phase", default="before", help="name of the first phase")
    parse.add_argument("--contract", default=DEFAULT, metavar="NAME", help=f"one of {', '.join(CONTRACTS)}")
    parse.add_argument("--weights", default="", metavar="NAME=NUMBER,…", help="weights of the mix")
    parse.add_argument("--events", default="-", metavar="FILE", help="where the JSON lines go")
    parse.add_argument("--control", action="store_true", help="obey standard input: mark NAME, stop, hurry")
    return parse


def settings_from(parsed: argparse.Namespace) -> ProbeSettings:
    """:raises InputError: for settings that cannot be."""
    numbers = {_attribute(name): getattr(parsed, _attribute(name)) for name, _, _ in _NUMBERS}
    return ProbeSettings(
        urls=tuple(parsed.urls),
        verify_urls=tuple(url for url in parsed.verify.split(",") if url),
        host=parsed.host,
        insecure=parsed.insecure,
        phase=parsed.phase,
        contract=parsed.contract,
        weights=parse_weights(parsed.weights),
        **numbers,
    )


def arguments_of(settings: ProbeSettings) -> list[str]:
    """The inverse of `settings_from`."""
    arguments = [f"--{name}={getattr(settings, _attribute(name))}" for name, _, _ in _NUMBERS]
    arguments += [f"--verify={','.join(settings.verify_urls)}", f"--phase={settings.phase}"]
    arguments.append(f"--contract={settings.contract}")
    arguments.append("--weights=" + ",".join(f"{name}={weight}" for name, weight in settings.weights.items()))
    if settings.host is not None:
        arguments.append(f"--host={settings.host}")
    if settings.insecure:
        arguments.append("--insecure")
    return [*arguments, "--", *settings.urls]


def parse_weights(text: str) -> dict[str, float]:
    """Weights such as `cart=20,order=10`; what is not named weighs nothing, an empty text is the contract's own mix.

    :raises InputError: for something that is not a number.
    """
    weights = {}
    for part in text.split(",") if text else ():
        name, _, number = part.partition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            raise InputError(f"{part!r} is not a weight; it takes NAME=NUMBER") from None
    return weights


def _attribute(name: str) -> str:
    return name.replace("-", "_")
