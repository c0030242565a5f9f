"""Azure AI Foundry and Azure OpenAI."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["AzureAIFoundryProvider"]


class AzureAIFoundryProvider(LLMProvider):
    """Models on Azure in OpenAI's formats. The model is the name of the deployment."""

    name = "azure"
    kind = "azure"
