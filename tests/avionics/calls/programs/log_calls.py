"""Makes calls through a gateway that logs them, as its environment says, and tells of each one that returned.

    python log_calls.py COUNT [--file-size BYTES] [--fork] [--end close|leave]

A line of output is a call's id and the time of its return on the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import time

import anyio

from airframe.testing import Answer
from airframe.types import Usage
from avionics.calls.call_log import CallLog
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.settings import Settings

ANSWER = Answer(text="Because.", usage=Usage(input_tokens=1000, output_tokens=10))


async def make_calls(count: int, log: CallLog) -> None:
    provider = MockProvider(itertools.repeat(ANSWER), name="openai", default_model="gpt-4.1-mini")
    gateway = LLMGateway(Settings(llm_provider="openai"), observers=[log], providers={"openai": provider})
    for _ in range(count):
        response = await gateway.complete("Why?", agent_name=f"process {os.getpid()}")
        sys.stdout.write(f"{response.metadata['call_id']} {time.monotonic()}\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--file-size", type=int, help="no file may grow beyond this until all calls are made")
    parser.add_argument("--fork", action="store_true", help="make as many calls in a forked child")
    parser.add_argument("--end", choices=["close", "leave"], default="leave", help="close the log, or just end")
    options = parser.parse_args()
    log = CallLog(Settings())
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    if options.file_size:
        anyio.run(make_calls, 1, log)
        log.flush()  # the database is open
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_size, unlimited[1]))
    anyio.run(make_calls, options.count, log)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    if options.fork:
        log.flush()  # a thread that is loading modules while its process forks holds their locks in the child for ever
        child = os.fork()
        if not child:
            anyio.run(make_calls, options.count, log)
            log.close()
            os._exit(0)
        os.waitpid(child, 0)
    if options.end == "close":
        log.close()


if __name__ == "__main__":
    main()
