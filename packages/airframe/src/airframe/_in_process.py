"""A model in this process, behind the seam of HTTP: a request's body goes in, server-sent events come out.

The model is loaded once, by the first request, and shared by all tasks, event loops and threads. It works in a thread
of its own for each request, and is asked after each token whether anybody still listens, so whoever leaves stops it
there. Nothing here blocks the event loop, and nothing here knows who runs the model.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import anyio.lowlevel
import anyio.to_thread

from airframe.endpoints import EndpointSpec
from airframe.errors import BackendError, ErrorCategory, LimitExceededError, Phase
from airframe.protocols.reading import object_in, parse_object, whole_number_in
from airframe.transport import HttpRequest

__all__ = ["Generation", "InProcessTransport", "Load", "LoadedModel", "ModelOptions", "as_event", "existing_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is loaded. `context_window` is that of one slot, in tokens; None is the model's own.

    `configure` may change whatever else the runtime knows, just before it loads.
    """

    slots: int = 1
    context_window: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    verbose: bool = False
    configure: Callable[[Any], None] | None = None


class LoadedModel(ABC):
    """A model in memory. All methods block."""

    @abstractmethod
    def answer(self, generation: Generation) -> None:
        """Hand the documents of the answer to `generation.take`, an error among them, until it asks to stop.

        At most `ModelOptions.slots` threads are in here at once.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the memory back. Nobody is in `answer`, and nobody will be."""


Load: TypeAlias = Callable[[Path, ModelOptions], LoadedModel]
"""Reads a model from its file. Raises `BackendError` when it cannot."""


class InProcessTransport:
    """Sends requests to models in this process. `options` says how the model of an endpoint is loaded."""

    def __init__(self, load: Load, options: Callable[[EndpointSpec], ModelOptions]) -> None:
        self._load = load
        self._options = options
        self._lock = threading.Lock()
        self._inherited: list[object] = []
        self._begin_in_this_process()

    async def send(
        self, endpoint: EndpointSpec, request: HttpRequest, *, connect_timeout: float | None, header_bytes: int
    ) -> _Response:
        """Have the model answer. Raises `AirframeError` when it cannot be loaded."""
        del connect_timeout, header_bytes  # nothing is connected; loading counts towards the first event
        generation = Generation(self._engine(endpoint), request.body)
        try:
            return _Response(generation, await generation.begin())
        except BaseException:
            generation.abandon()
            raise

    def is_loaded(self, endpoint: EndpointSpec) -> bool:
        """Whether the endpoint's model is in memory."""
        return self._engine(endpoint).loaded

    async def aclose(self) -> None:
        """Stop what runs, and unload the models."""
        with self._lock:
            engines = list(self._engines.values())
            self._engines.clear()
        with anyio.CancelScope(shield=True):
            for engine in engines:
                await anyio.to_thread.run_sync(engine.close)

    def _engine(self, endpoint: EndpointSpec) -> _Engine:
        key = (existing_model(endpoint), self._options(endpoint))
        with self._lock:
            if self._pid != os.getpid():
                # Forked: the runtime's threads stayed in the parent, and unloading would wait for them without end.
                self._inherited.append(self._engines)
                self._begin_in_this_process()
            if key not in self._engines:
                self._engines[key] = _Engine(self._load, *key)
            return self._engines[key]

    def _begin_in_this_process(self) -> None:
        self._pid = os.getpid()
        self._engines: dict[tuple[Path, ModelOptions], _Engine] = {}
        # A thread that is still at work when the interpreter ends would take the process down with it.
        weakref.finalize(self, _close_all, self._engines, self._pid)


def _close_all(engines: Mapping[tuple[Path, ModelOptions], _Engine], pid: int) -> None:
    if pid == os.getpid():
        for engine in engines.values():
            engine.close()


def existing_model(endpoint: EndpointSpec) -> Path:
    """The GGUF file that the endpoint's `file` URL names. Raises `BackendError` where there is none."""
    path = Path(url2pathname(urlsplit(endpoint.base_url).path))
    if not path.is_file():
        raise BackendError(
            f"there is no model file {str(path)!r}", category=ErrorCategory.NOT_FOUND, phase=Phase.BEFORE_SEND
        )
    return path


class _Engine:
    """One model, loaded or not. All methods block: they are for worker threads."""

    def __init__(self, load: Load, path: Path, options: ModelOptions) -> None:
        self._load = load
        self._path = path
        self._options = options
        self._model: LoadedModel | None = None
        self._loading = threading.Lock()
        self._turn = threading.Condition()
        self._free = options.slots
        self._present: set[Generation] = set()

    @property
    def loaded(self) -> bool:
        return self._model is not None

    def run(self, generation: Generation) -> None:
        """Answer, when a slot is free. Raises `BackendError` when the model cannot be loaded."""
        with self._slot(generation):
            if not generation.abandoned:
                self._loaded().answer(generation)

    def wake(self) -> None:
        """Have those who wait for a slot look whether they still want it."""
        with self._turn:
            self._turn.notify_all()

    def close(self) -> None:
        """Stop what runs, and unload. A later request loads again."""
        with self._turn:
            for generation in self._present:
                generation.abandoned = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._present)
        with self._loading:
            model, self._model = self._model, None
        if model is not None:
            model.close()

    @contextmanager
    def _slot(self, generation: Generation) -> Generator[None]:
        """Wait for a slot, unless nobody waits for the answer any more."""
        with self._turn:
            self._present.add(generation)
            self._turn.wait_for(lambda: self._free > 0 or generation.abandoned)
            self._free -= 1
        try:
            yield
        finally:
            with self._turn:
                self._free += 1
                self._present.discard(generation)
                self._turn.notify_all()

    def _loaded(self) -> LoadedModel:
        with self._loading:
            if self._model is None:
                self._model = self._load(self._path, self._options)
            return self._model


class Generation:
    """One request, between the thread in which the model works and the event loop in which somebody listens.

    Attributes:
        body: what is asked.
        abandoned: nobody listens any more.
    """

    def __init__(self, engine: _Engine, body: bytes) -> None:
        self.body = body
        self.abandoned = False
        self._engine = engine
        self._pieces: deque[bytes] = deque()
        self._failure: Exception | None = None
        self._ended = False
        loop: Any = anyio.lowlevel.current_token().native_token
        self._soon: Callable[[Callable[[], object]], object] = (
            loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
        )
        self._told = False
        self._news = anyio.Event()

    # -- in the event loop

    async def begin(self) -> bytes:
        """Start, and wait for the first document."""
        threading.Thread(target=self._work, name="llama.cpp", daemon=True).start()
        return await self.next() or b""

    async def next(self) -> bytes | None:
        """The next document; None at the end. Raises what the thread raised."""
        while not self._pieces:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return None
            self._news = anyio.Event()
            await self._news.wait()
        return self._pieces.popleft()

    def waiting(self) -> list[bytes]:
        """The documents that are there already."""
        pieces: list[bytes] = []
        while self._pieces:
            pieces.append(self._pieces.popleft())
        return pieces

    def abandon(self) -> None:
        """Have the model stop at the next token, without waiting for it."""
        self.abandoned = True
        self._engine.wake()

    def _wake(self) -> None:
        self._told = False
        self._news.set()

    # -- in the worker thread

    def take(self, piece: bytes) -> bool:
        """A document of the answer. True asks the model to stop."""
        self._pieces.append(piece)
        self._tell()
        return self.abandoned

    def _work(self) -> None:
        try:
            self._engine.run(self)
        except Exception as error:  # noqa: BLE001  (it is raised where somebody listens)
            self._failure = error
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the event loop is gone, and with it whoever listened
                self._soon(self._wake)


class _Response:
    """An answer in the form in which a server would send it."""

    headers: Mapping[str, str]

    def __init__(self, generation: Generation, first: bytes) -> None:
        self._generation = generation
        self._received = 0
        self._over = False
        self.status = _status(first)
        self._pieces = [first if self.status != 200 else as_event(first)]
        self.headers = {"content-type": "text/event-stream" if self.status == 200 else "application/json"}

    async def read(self, limit: int) -> bytes:
        if not self._pieces and not self._over:
            piece = await self._generation.next() if self.status == 200 else None
            if piece is None:
                self._over = True
            else:
                self._pieces = [as_event(piece), *map(as_event, self._generation.waiting())]
        data = b"".join(self._pieces)
        self._pieces = []
        self._received += len(data)
        if self._received > limit:
            self.abandon()
            raise LimitExceededError(
                f"the answer is larger than Limits.body_bytes ({limit})", phase=Phase.CONTENT, limit="body_bytes"
            )
        return data

    def abandon(self) -> None:
        self._generation.abandon()

    async def aclose(self) -> None:
        self.abandon()


def as_event(document: bytes) -> bytes:
    """A document as the server-sent event that the reader of a stream expects."""
    return b"data: " + document + b"\n\n"


def _status(document: bytes) -> int:
    """200, or the status that a server would give to the error that `document` is."""
    if not document.startswith(b'{"error"'):
        return 200
    code = whole_number_in(object_in(parse_object(document), "error") or {}, "code")
    return 500 if code is None else code
