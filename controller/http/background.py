"""Work that blocks, beside the event loop: in threads that do not keep the process from ending.

Owns nothing but the way there and back; how many may be under way at a time is for those who ask.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. A server that ends does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        if not future.done():
            act()

    def run() -> None:
        act: Callable[[], None]
        try:
            result = work()
            act = lambda: future.set_result(result)  # noqa: E731 - one of two
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
            act = lambda: future.set_exception(failure)  # noqa: E731 - one of two
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(settle, act)

    threading.Thread(target=run, name="http-work", daemon=True).start()
    return await future
