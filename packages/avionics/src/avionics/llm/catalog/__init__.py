"""What is known of models: what each can do and takes, what fits it, and which ones run on this machine."""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.catalog.discovery import FoundServer, discover
    from avionics.llm.catalog.fitting import Fitted, Policy, Problem, find_problems, fit_request
    from avionics.llm.catalog.model_id import ModelId, Runtime, parse_model_id
    from avionics.llm.catalog.model_spec import ModelSpec
    from avionics.llm.catalog.registry import ModelRegistry
    from avionics.llm.catalog.truncation import AnswerCheck, truncation_check
    from avionics.settings.model_specs import ParameterRule, ReasoningRule, SpecSettings
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.catalog.discovery": ("FoundServer", "discover"),
            "avionics.llm.catalog.fitting": ("Fitted", "Policy", "Problem", "find_problems", "fit_request"),
            "avionics.llm.catalog.model_id": ("ModelId", "Runtime", "parse_model_id"),
            "avionics.llm.catalog.model_spec": ("ModelSpec",),
            "avionics.llm.catalog.registry": ("ModelRegistry",),
            "avionics.llm.catalog.truncation": ("AnswerCheck", "truncation_check"),
            "avionics.settings.model_specs": ("ParameterRule", "ReasoningRule", "SpecSettings"),
        },
    )

__all__ = [
    "AnswerCheck",
    "Fitted",
    "FoundServer",
    "ModelId",
    "ModelRegistry",
    "ModelSpec",
    "ParameterRule",
    "Policy",
    "Problem",
    "ReasoningRule",
    "Runtime",
    "SpecSettings",
    "discover",
    "find_problems",
    "fit_request",
    "parse_model_id",
    "truncation_check",
]


def __dir__() -> list[str]:
    return sorted(__all__)
