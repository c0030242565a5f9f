"""A hostile server, and the faults it knows: what a backend, a proxy or a network may do to a call.

    @pytest.mark.parametrize("fault", [fault for section in FAULTS for fault in section], ids=lambda fault: fault.name)
    async def test_my_adapter(fault):
        with HostileServer(fault.script(TRAFFIC["chat"])) as server:
            ...

Each `Fault` says what comes of it (`stream`, `whole`), so that the table is a suite for any adapter.
"""

from airframe.testing.hostile._meaning_faults import MEANING, STATUS, TOOLS, USAGE
from airframe.testing.hostile._transport_faults import BODY, FRAMING, HEAD
from airframe.testing.hostile.fault import BEGINNING, PATIENT, PIECES, TEXT, Fault, Outcome, Section, Turn, striking
from airframe.testing.hostile.server import (
    Connection,
    HostileServer,
    ReceivedRequest,
    Script,
    chunk,
    full_port,
    head,
    unused_port,
)
from airframe.testing.hostile.traffic import (
    TRAFFIC,
    AnthropicTraffic,
    ChatTraffic,
    LlamaCompletionTraffic,
    OllamaTraffic,
    ResponsesTraffic,
    Traffic,
)

FAULTS: tuple[Section, ...] = (HEAD, BODY, FRAMING, MEANING, TOOLS, USAGE, STATUS)
"""Every fault, in chapters."""

__all__ = [
    "BEGINNING",
    "BODY",
    "FAULTS",
    "FRAMING",
    "HEAD",
    "MEANING",
    "PATIENT",
    "PIECES",
    "STATUS",
    "TEXT",
    "TOOLS",
    "TRAFFIC",
    "USAGE",
    "AnthropicTraffic",
    "ChatTraffic",
    "Connection",
    "Fault",
    "HostileServer",
    "LlamaCompletionTraffic",
    "OllamaTraffic",
    "Outcome",
    "ReceivedRequest",
    "ResponsesTraffic",
    "Script",
    "Section",
    "Traffic",
    "Turn",
    "chunk",
    "full_port",
    "head",
    "striking",
    "unused_port",
]
