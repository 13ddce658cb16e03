"""One connection: how long a stranger may take for each part of a request, and who makes room (faults.md I2).

Home of uvicorn's protocol class. Owns no routes and reads no content. A connection that does not keep to its time is
cut without an answer: it has not asked anything yet, or did not take what it asked for.
"""

import asyncio
import contextlib
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http import h11_impl

from controller.http import bounds


class Bounded(h11_impl.H11Protocol):
    """uvicorn's protocol over h11 with bounds. Each server makes its class with `bounded`."""

    limits: ClassVar[bounds.Limits] = bounds.Limits()

    _timer: asyncio.TimerHandle | None = None
    _stage: tuple[Any, ...] = ()
    _since_s = 0.0
    _thrown_away = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the connection; when there are too many, somebody has to go."""
        self._since_s = self.loop.time()
        fits = self._make_room()
        super().connection_made(transport)
        self._attend()
        if not fits:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes. Those of a body whose request was answered already are let through for a while, then no more."""
        if self._under_way is None and self._cycle is not None and self.conn.their_state is h11.SEND_BODY:
            self._thrown_away += len(data)
            if self._thrown_away > self.limits.max_drained_bytes:
                self.transport.abort()
                return
        super().data_received(data)
        self._attend()

    def on_response_complete(self) -> None:
        """The next request may begin."""
        self._thrown_away = 0
        super().on_response_complete()
        self._attend()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Something that is not HTTP. The request under way, if there is one, gets no answer of its own any more."""
        under_way = self._under_way
        if under_way is not None:
            under_way.disconnected = True
            under_way.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def shutdown(self) -> None:
        """The server ends."""
        with contextlib.suppress(h11.LocalProtocolError):  # the connection is ending already
            super().shutdown()

    @property
    def _cycle(self) -> h11_impl.RequestResponseCycle | None:
        """The last request. None before the first one, which uvicorn's types do not say."""
        return self.cycle

    @property
    def _under_way(self) -> h11_impl.RequestResponseCycle | None:
        """The request that has no whole answer yet."""
        cycle = self._cycle
        return None if cycle is None or cycle.response_complete else cycle

    @property
    def _is_answered(self) -> bool:
        """Whether a whole request is here and its answer is being made."""
        whole = self._under_way is not None and self.conn.their_state is not h11.SEND_BODY
        return whole and not self.flow.write_paused

    def _make_room(self) -> bool:
        if len(self.connections) < self.limits.connections:
            return True
        others = [cast("Bounded", other) for other in self.connections]
        idle = [other for other in others if not other._is_answered]  # noqa: SLF001 - of its own class
        if not idle:
            return False
        oldest = min(idle, key=lambda other: other._since_s)  # noqa: SLF001 - of its own class
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _attend(self) -> None:
        """Give the stage that the connection has come to its time, unless it is the one that is running."""
        answered = self._under_way is None
        sending = self.conn.their_state is h11.SEND_BODY
        stage = (self._cycle, answered, sending)
        if stage == self._stage or self.transport.is_closing():
            return
        self._stage = stage
        if self._timer is not None:
            self._timer.cancel()
        # The application ends a slow body with an answer; a little later the connection ends without.
        usual_s = self.limits.headers_s if answered else self.limits.answer_s
        self._timer = self.loop.call_later(self.limits.body_s + 2.0 if sending else usual_s, self._cut)

    def _cut(self) -> None:
        self.transport.abort()


def bounded(limits: bounds.Limits) -> type[Bounded]:
    """The protocol with these bounds."""
    return type("Bounded", (Bounded,), {"limits": limits})
