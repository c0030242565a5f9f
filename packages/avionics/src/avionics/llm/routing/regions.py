"""The region of a cloud in which a host is, where its name tells. Pure.

Amazon and Google have the region in the names of their hosts, and so have Azure's regional ones. Names of resources on
Azure are free, but many hold the region, as `team-eastus.openai.azure.com` does.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["region_of"]

_AMAZON = re.compile(
    r"(?:^|\.)bedrock[a-z-]*\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws)(?:\.cn)?"
)
_GOOGLE = re.compile(r"([a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com")
_AZURE = re.compile(
    r"(.+)\.(?:api\.cognitive\.microsoft|(?:openai|cognitiveservices|services\.ai|models\.ai|inference\.ml)\.azure)\.com"
)
_AZURE_REGION = re.compile(
    "(?:central|east|northcentral|southcentral|west|westcentral)us[23]?|(?:north|west)europe|(?:east|southeast)asia"
    "|(?:central|south|west)india|australia(?:central|east|southeast)|canada(?:central|east)|brazil(?:south|southeast)"
    "|france(?:central|south)|germany(?:north|westcentral)|japan(?:east|west)|korea(?:central|south)|norway(?:east|west)"
    "|southafrica(?:north|west)|sweden(?:central|south)|switzerland(?:north|west)|uae(?:central|north)|uk(?:south|west)"
    "|austriaeast|belgiumcentral|chilecentral|indonesiacentral|israelcentral|italynorth|malaysiawest|mexicocentral"
    "|newzealandnorth|polandcentral|qatarcentral|spaincentral"
)


def region_of(url: str) -> str | None:
    """The cloud and the region of a URL's host, such as `azure eastus`; None where the name does not tell."""
    host = (urlsplit(url).hostname or "").lower()
    if found := _AMAZON.search(host):
        return f"aws {found[1]}"
    if found := _GOOGLE.fullmatch(host):
        return f"google {found[1]}"
    if found := _AZURE.fullmatch(host):
        parts = [part for part in re.split(r"[.-]", found[1]) if _AZURE_REGION.fullmatch(part)]
        return f"azure {parts[-1]}" if parts else None
    return None
