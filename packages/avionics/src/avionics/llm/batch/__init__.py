"""Many calls: `LLMGateway.map`, and files of requests."""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.batch.call_map import CallMap
    from avionics.llm.batch.call_request import CallRequest
    from avionics.llm.batch.results import BatchProgress, BatchResult
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.batch.call_map": ("CallMap",),
            "avionics.llm.batch.call_request": ("CallRequest",),
            "avionics.llm.batch.results": ("BatchProgress", "BatchResult"),
        },
    )

__all__ = ["BatchProgress", "BatchResult", "CallMap", "CallRequest"]


def __dir__() -> list[str]:
    return sorted(__all__)
