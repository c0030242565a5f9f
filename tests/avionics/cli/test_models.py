"""`avionics models`: what runs here, what a provider offers, what the catalog knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from typer.testing import Result

from avionics.embedded import EmbeddedLlamaServer
from avionics.llm.catalog import parse_model_id

pytestmark = pytest.mark.real_llama

Run = Callable[..., Result]


def row_of(result: Result, name: str) -> Mapping[str, str]:
    """The cells of the table's row that begins with `name`, under their headings."""
    heading, *rows = result.stdout.splitlines()
    (row,) = (row for row in rows if row.startswith(name))
    starts = [heading.index(word) for word in heading.split()]
    cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return dict(zip(heading.split(), cells, strict=True))


class TestLocal:
    """Without options: what runs at the usual addresses and at those of the settings."""

    def test_the_models_are_a_table(self, run: Run, server: EmbeddedLlamaServer) -> None:
        """The configured server's model by the id that `create_llm` takes, with what the server says of it."""
        result = run("models")
        assert result.exit_code == 0
        address = server.base_url.removeprefix("http://")
        row = row_of(result, f"{EmbeddedLlamaServer.model_name}:llama_server@{address}")
        assert (row["context"], row["loaded"], row["tools"], row["vision"], row["template"]) == (
            "2048",  # each of the two slots has half of 4096
            "yes",
            "yes",
            "no",
            "yes",
        )

    def test_the_models_are_json_for_scripts(self, run: Run, server: EmbeddedLlamaServer) -> None:
        """An array of objects, in which null is unknown, with the whole chat template."""
        models: list[dict[str, Any]] = json.loads(run("models", "--json").stdout)
        (model,) = (model for model in models if parse_model_id(model["id"]).base_url == server.base_url)
        assert (model["name"], model["runtime"], model["loaded_context"]) == (
            EmbeddedLlamaServer.model_name,
            "llama_server",
            2048,
        )
        assert "messages" in model["chat_template"]

    def test_a_server_that_is_down_is_no_error(self, run: Run) -> None:
        """It is not there, and neither are its models."""
        result = run("models", "--json", AVIONICS_LLAMASERVER_HOST="http://127.0.0.1:1")
        assert result.exit_code == 0
        assert "127.0.0.1:1" not in [model["id"].partition("@")[2] for model in json.loads(result.stdout)]


class TestProvider:
    """With `-p`: what one provider offers, by its own account."""

    def test_its_models_are_a_table(self, run: Run) -> None:
        """A row for each model, below its heading."""
        result = run("models", "-p", "llamaserver")
        heading, row = result.stdout.splitlines()
        assert heading.split() == ["model", "context", "loaded", "owner"]
        assert row.split()[0] == EmbeddedLlamaServer.model_name

    def test_its_models_are_json_for_scripts(self, run: Run) -> None:
        """With `--json` they are an array of objects, in which null is unknown."""
        (model,) = json.loads(run("models", "-p", "llamaserver", "--json").stdout)
        assert (model["id"], model["context_window"]) == (EmbeddedLlamaServer.model_name, 2048)
        assert json.loads(run("models", "-p", "mock", "--json").stdout)[0]["context_window"] is None

    def test_one_that_is_down_exits_with_1(self, run: Run) -> None:
        """The reason is one line on standard error."""
        down = {"AVIONICS_LLAMASERVER_HOST": "http://127.0.0.1:1", "AVIONICS_LLM_MAX_RETRIES": "0"}
        result = run("models", "-p", "llamaserver", **down)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


class TestCatalog:
    """With `--catalog`: what is known of models, without asking anybody."""

    def test_it_is_a_table(self, run: Run) -> None:
        """Window, longest answer, what it reads, its efforts, and its last day."""
        row = row_of(run("models", "--catalog"), "openai:gpt-5 ")
        assert row == {
            "model": "openai:gpt-5",
            "context": "400000",
            "answer": "128000",
            "reads": "text image file",
            "efforts": "minimal low medium high",
            "retires": "2026-12-11",
        }

    def test_it_is_json_with_source_and_date(self, run: Run) -> None:
        """Everything that is known, and from where."""
        rows = {row["id"]: row for row in json.loads(run("models", "--catalog", "--json").stdout)}
        assert rows["anthropic:claude-opus-5"]["checked"] == "2026-11-20"
        assert rows["anthropic:claude-opus-5"]["reasoning"]["modes"] == ["adaptive", "disabled"]

    def test_it_asks_no_provider(self, run: Run) -> None:
        """Both at once is wrong usage."""
        assert run("models", "--catalog", "-p", "mock").exit_code == 2
