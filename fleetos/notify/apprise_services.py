"""Send to the services that apprise knows. It is imported when the first such URL is used: that takes 0.4 s.

`send` blocks, so it belongs into a thread. What apprise logs is dropped, since it quotes URLs.
"""

import logging
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fleetos.logs import fields

_log = logging.getLogger(__name__)

# Loggers of apprise and of what it sends with: without a handler, logging writes their warnings, and with them parts
# of a URL, to stderr.
_LOGGERS = ("apprise", "requests", "urllib3")


def installed() -> bool:
    """Return whether the extra `notify` is installed."""
    return find_spec("apprise") is not None


def understands(url: str) -> bool:
    """Return whether the URL is one of a service, with all that the service needs."""
    try:
        # The first URL loads all services, some of which use modules that Python is about to drop.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _apprise().Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True) is not None
    except Exception as error:  # noqa: BLE001 - each service has errors of its own, and what they quote nobody knows
        _log.warning("apprise failed", extra=fields(failure=type(error).__name__))
        return False


def send(url: str, title: str, text: str) -> bool:
    """Send a message and return whether the service took it."""
    apprise = _apprise()
    receiver = apprise.Apprise(asset=_asset())
    # A URL that apprise does not understand is no exception there, only False.
    if not receiver.add(url):
        return False
    return bool(receiver.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT))


@cache
def _apprise() -> Any:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
    return import_module("apprise")


def _asset() -> Any:
    """Return the identity that services show, and no store on disk: it would hold tokens."""
    apprise = _apprise()
    return apprise.AppriseAsset(
        app_id="fleetos",
        app_desc="fleetos",
        app_url="",
        async_mode=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
