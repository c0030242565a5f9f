"""The region of a cloud in which a host is, where its name tells. Pure.

Sources, read 2026-11-20: the endpoint pages of Azure OpenAI and Azure AI services, Amazon Bedrock and Google Vertex AI.
Azure's resource names are free, but most people end them with the region.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["region_of"]

_AWS = re.compile(
    r"(?:^|\.)bedrock[a-z-]*\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws)(?:\.cn)?$"
)
_GOOGLE = re.compile(r"^([a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com$")
_AZURE_LABEL = re.compile(
    r"(?:^|\.)([a-z0-9]+)\.(?:api\.cognitive\.microsoft\.com|models\.ai\.azure\.com|inference\.ml\.azure\.com)$"
)
_AZURE_NAME = re.compile(
    r"^([a-z0-9-]+)\.(?:openai\.azure\.com|cognitiveservices\.azure\.com|services\.ai\.azure\.com)$"
)
_AZURE_REGIONS = frozenset(
    ["australiacentral", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral", "brazilsouth", "canadacentral", "canadaeast", "centralindia", "centralus", "chilecentral", "eastasia", "eastus", "eastus2", "francecentral", "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth", "japaneast", "japanwest", "koreacentral", "koreasouth", "malaysiawest", "mexicocentral", "newzealandnorth", "northcentralus", "northeurope", "norwayeast", "polandcentral", "qatarcentral", "southafricanorth", "southcentralus", "southeastasia", "southindia", "spaincentral", "swedencentral", "switzerlandnorth", "switzerlandwest", "uaenorth", "uksouth", "ukwest", "westcentralus", "westeurope", "westindia", "westus", "westus2", "westus3"]
)


def region_of(url: str) -> str | None:
    """The cloud and the region of a URL's host, such as `azure eastus`; None where the name does not tell."""
    host = (urlsplit(url).hostname or "").lower()
    if found := _AWS.search(host):
        return f"aws {found[1]}"
    if found := _GOOGLE.search(host):
        return f"google {found[1]}"
    if (found := _AZURE_LABEL.search(host)) and found[1] in _AZURE_REGIONS:
        return f"azure {found[1]}"
    if found := _AZURE_NAME.search(host):
        return _azure(found[1])
    return None


def _azure(resource: str) -> str | None:
    """By the last part of the resource's name that is a region, as in `team-eastus` and `team-eastus-prod`."""
    regions = [part for part in resource.split("-") if part in _AZURE_REGIONS]
    return f"azure {regions[-1]}" if regions else None
