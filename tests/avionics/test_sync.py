"""The same objects without an event loop: in scripts, in threads, in forked workers, inside somebody's loop."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.testing.hostile import Connection, HostileServer, head
from airframe.types import Message
from avionics.errors import LLMServerError
from avionics.llm import LLMGateway, MockProvider, create_llm_provider
from avionics.llm.chat import Chat
from avionics.llm.sync import (
    BlockingCallError,
    SyncChat,
    SyncGateway,
    SyncProvider,
    SyncStream,
    blocking,
    run_sync,
)
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

QUESTION = [Message("user", "Hello there")]


def test_a_gateway_answers_whole_and_streamed() -> None:
    """Results are those of the gateway itself, and its statistics count both."""
    with SyncGateway(ScriptedGateway(openai=[Answer(text="Hello"), Answer(chunks=["He", "llo"])])) as gateway:
        assert gateway.complete("Hi").text == "Hello"
        with gateway.complete_stream("Hi") as stream:
            assert [chunk.text for chunk in stream] == ["He", "llo", ""]
        assert gateway.get_stats().successes == 2


def test_many_calls_are_made() -> None:
    """Their results come one by one; what nobody asks for is not made."""
    with SyncGateway(ScriptedGateway(openai=["a", "b", "c"])) as blocked:
        with blocked.map(["x"] * 3, concurrency=1) as results:
            assert [result.response.text for result in results if result.response] == ["a", "b", "c"]
        with blocked.map(["x"]):
            assert blocked.get_stats().calls == 3


def test_a_provider_does_all_that_it_does() -> None:
    """Every method waits for what the async one returns."""
    with SyncProvider(create_llm_provider("mock", Settings(llm_provider="mock"))) as provider:
        assert provider.complete(QUESTION).content == "Hello there"
        stream = provider.stream_complete(QUESTION)
        assert [chunk.text for chunk in stream] == ["Hello", " there", ""]
        assert isinstance(stream, SyncStream)
        assert provider.generate(None, "one two") == "one two"
        assert "".join(chunk.text for chunk in provider.generate_stream(None, "one two")) == "one two"
        assert provider.complete_with_vision("What?", ["https://a.example/a.png"]).content == "What?"
        assert provider.health_check().healthy
        assert [model.id for model in provider.list_models()] == ["mock"]
        assert provider.get_stats().answers == 5


def test_a_chat_remembers() -> None:
    """Its conversation is that of the chat itself."""
    chat = Chat(MockProvider([Answer(text="One."), Answer(chunks=["Two", "."])]))
    talk = SyncChat(chat)
    assert talk.send_user_message("1?").content == "One."
    assert "".join(chunk.text for chunk in talk.stream_user_message("2?")) == "Two."
    assert [message.text for message in chat.conversation.get_messages()] == ["1?", "One.", "2?", "Two."]


def test_errors_come_out_as_they_are() -> None:
    """In the middle of a stream too."""
    provider = SyncProvider(MockProvider([Failure(ErrorCategory.SERVER), Failure(ErrorCategory.SERVER, chunks=["He"])]))
    with pytest.raises(LLMServerError):
        provider.complete(QUESTION)
    stream = provider.stream_complete(QUESTION)
    assert next(stream).text == "He"
    with pytest.raises(LLMServerError) as caught:
        next(stream)
    assert caught.value.partial_text == "He"


def test_a_stream_that_is_left_is_closed() -> None:
    """The exchange does not go on behind the caller's back."""
    mock = MockProvider([Answer(chunks=["a", "b"])])
    with SyncProvider(mock).stream_complete(QUESTION) as stream:
        assert next(stream).text == "a"
        assert mock.script.open_streams == 1
    assert mock.script.open_streams == 0
    assert list(stream) == []


def test_connections_live_on_between_calls() -> None:
    """From whichever thread they come: there is one loop for all."""

    def script(connection: Connection) -> None:
        body = (
            b'{"model": "m", "message": {"role": "assistant", "content": "Hi."}, "done": true, "done_reason": "stop"}'
        )
        connection.send(head(content_length=len(body)) + body)

    with HostileServer(script) as server:
        settings = Settings(providers={"ollama": {"base_url": server.base_url, "model": "m"}})
        with SyncProvider(create_llm_provider("ollama", settings)) as provider, ThreadPoolExecutor(1) as other:
            assert provider.complete(QUESTION).content == "Hi."
            assert other.submit(lambda: provider.complete(QUESTION)).result().content == "Hi."
        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.anyio
class TestInsideALoop:
    """Where a loop runs already."""

    async def test_it_works_in_somebody_elses_loop(self) -> None:
        """As in a notebook: the loop is held up, and the answer comes."""
        assert SyncProvider(MockProvider()).generate(None, "Hi") == "Hi"

    async def test_it_refuses_to_wait_for_itself(self) -> None:
        """A blocking call from a callback inside its own loop is an error, not a deadlock."""
        provider = SyncProvider(MockProvider())

        async def inside() -> str:
            return provider.generate(None, "Hi")

        with pytest.raises(BlockingCallError, match="inside the event loop that would carry it out: await the call"):
            await anyio.to_thread.run_sync(blocking(inside))


def test_who_is_interrupted_cancels_the_call() -> None:
    """Ctrl-C while waiting does not leave a call running in the background."""
    begun, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    def interrupt() -> None:
        begun.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        run_sync(wait)
    interrupter.join()
    assert cancelled.wait(10)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # that is the point
def test_a_forked_worker_begins_anew() -> None:
    """The loop's thread is not forked along; a Celery worker that was forked after a call still answers."""
    provider = SyncProvider(MockProvider())
    assert provider.generate(None, "before") == "before"
    receiver, sender = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("fork").Process(target=lambda: sender.send(provider.generate(None, "inside")))
    worker.start()
    assert receiver.poll(20)
    assert receiver.recv() == "inside"
    worker.join()
    assert provider.generate(None, "after") == "after"


def test_a_script_ends() -> None:
    """With the loop still there and nothing closed, the interpreter goes in peace and without a word."""
    script = (
        "from avionics.llm import MockProvider\n"
        "from avionics.llm.sync import SyncProvider\n"
        "provider = SyncProvider(MockProvider())\n"
        "stream = provider.generate_stream(None, 'Hello there')\n"
        "print(provider.generate(None, 'Hi'), next(stream).text)\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=150, check=False
    )
    assert (run.stdout, run.stderr, run.returncode) == ("Hi Hello\n", "", 0)


def test_a_gateway_from_settings_is_the_same_object() -> None:
    """What is wrapped stays reachable."""
    gateway = LLMGateway(Settings(llm_provider="mock"), observers=[])
    assert SyncGateway(gateway).gateway is gateway
