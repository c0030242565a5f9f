"""Many calls: `LLMGateway.map`, and files of requests."""

from avionics.llm.batch.call_map import CallMap
from avionics.llm.batch.call_request import CallRequest
from avionics.llm.batch.results import BatchProgress, BatchResult

__all__ = ["BatchProgress", "BatchResult", "CallMap", "CallRequest"]
