"""The Hugging Face hub, which timm and transformers have their weights from, where it cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from workbook.errors import first_line


@contextmanager
def asked_once() -> Iterator[None]:
    """Inside, the hub's client takes what is in its cache where the hub does not answer, and does not wait for it.

    By itself the client tries again for half a minute a file. What the environment names counts: HF_ENDPOINT a mirror,
    HTTPS_PROXY a proxy, HF_HUB_ETAG_TIMEOUT the patience, HF_HUB_OFFLINE that nobody is asked.
    Raises ConnectionError, which says why there is no answer, for what is not in the cache either.
    """
    before, why = constants.HF_HUB_OFFLINE, _silence()
    constants.HF_HUB_OFFLINE = bool(why)
    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ConnectionError(why or first_line(error)) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def _silence() -> str:
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # whatever the client's own library raises without a network
        return f"{constants.ENDPOINT} cannot be reached: {first_line(error)}"
    return ""
