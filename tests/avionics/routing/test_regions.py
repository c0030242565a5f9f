"""The region that a host's name tells, and the warning about a backup in the same one."""

from __future__ import annotations

import pytest

from avionics.llm.routing.regions import region_of
from avionics.llm.validation import find_config_problems, validate_config
from avionics.settings import Settings


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://team-eastus.openai.azure.com/", "azure eastus"),
        ("https://eastus2-team-prod.openai.azure.com", "azure eastus2"),
        ("https://Team-WestEurope.services.ai.azure.com/models", "azure westeurope"),
        ("https://eastus.api.cognitive.microsoft.com/", "azure eastus"),
        ("https://team.swedencentral.api.cognitive.microsoft.com/", "azure swedencentral"),
        ("https://phi.eastus2.models.ai.azure.com/v1", "azure eastus2"),
        ("https://from-eastus.westus.api.cognitive.microsoft.com/", "azure westus"),
        ("https://eastusteam.openai.azure.com", None),
        ("https://team.openai.azure.com", None),
        ("https://southeast.openai.azure.com", None),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "aws us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "aws us-gov-west-1"),
        ("https://vpce-1.bedrock-runtime.eu-west-3.vpce.amazonaws.com", "aws eu-west-3"),
        ("https://s3.us-east-1.amazonaws.com", None),
        ("https://us-central1-aiplatform.googleapis.com/v1", "google us-central1"),
        ("https://aiplatform.googleapis.com/v1", None),
        ("https://api.openai.com/v1", None),
        ("http://127.0.0.1:8080", None),
        ("https://eastus.example.com", None),
    ],
)
def test_the_region_is_read_from_the_host(url: str, region: str | None) -> None:
    """Of Azure, Amazon and Google; nobody else's names are guessed at."""
    assert region_of(url) == region


def settings(primary: str, backup: str) -> Settings:
    azure = {"base_url": primary, "api_key": "made-up", "model": "gpt-4.1", "backups": [{"base_url": backup}]}
    return Settings(providers={"azure": azure}, llm_provider="azure")


def test_a_backup_in_the_same_region_is_a_warning() -> None:
    """It works until the region does not, so it is told and is not fatal."""
    same = settings("https://a-eastus.openai.azure.com", "https://eastus.api.cognitive.microsoft.com")
    (problem,) = find_config_problems(same)
    assert problem.message == (
        "providers.azure.backups.0: it is in the region of the provider, azure eastus, whose outage takes both; "
        "put one of them elsewhere"
    )
    assert not problem.fatal


@pytest.mark.parametrize(
    "backup", ["https://a-westus.openai.azure.com", "https://other.example", "https://b.openai.azure.com"]
)
def test_a_backup_elsewhere_or_nobody_knows_where_is_none(backup: str) -> None:
    """Only what is known to be the same is told."""
    assert find_config_problems(settings("https://a-eastus.openai.azure.com", backup)) == ()


def test_a_route_to_nobody_is_a_problem() -> None:
    """A provider that only a route names is checked like any other."""
    found = find_config_problems(
        Settings(routing={"routes": {"fast": {"deployments": [{"provider": "mock"}, {"provider": "opnai"}]}}})
    )
    assert [problem.message.partition(";")[0] for problem in found] == ["unknown provider 'opnai'"]
    twice = Settings(routing={"routes": {"fast": {"deployments": [{"provider": "mock"}, {"provider": "mock"}]}}})
    assert "stands there twice" in find_config_problems(twice)[0].message
    validate_config(Settings(routing={"routes": {"fast": {"deployments": [{"provider": "mock"}]}}}))
