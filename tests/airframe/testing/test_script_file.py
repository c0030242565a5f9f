"""Scripts as files."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Script
from airframe.testing.script_file import ScriptFileError
from airframe.types import FinishReason, ToolCall, Usage

YAML = """\
# What the weather says.
models: [tiny]
steps:
  - The sky is blue.
  - chunks: ["The sky ", "is blue."]
    reasoning: They ask.
    usage: {input_tokens: 9, output_tokens: 5}
    delay: 2
    finish_reason: length
    reported_cost: 0.25
  - tool_calls:
      - name: get_weather
        arguments: {city: Bodø}
  - fail: overloaded
    retry_after: 3
    times: 2
  - text: You will not hear this to its end.
    faults: [{cut_after: {bytes: 40}}, split_utf8]
"""


def test_a_file_says_what_the_same_script_in_python_says(tmp_path: Path) -> None:
    """Every member of a step becomes the field of its name; YAML and JSON say the same."""
    file = tmp_path / "weather.yaml"
    file.write_text(YAML, encoding="utf-8")
    script = Script.load(file)
    first, second, third, *failures, last = list(script.steps)
    assert first == Answer(text="The sky is blue.")
    assert second == Answer(
        chunks=["The sky ", "is blue."],
        reasoning="They ask.",
        usage=Usage(input_tokens=9, output_tokens=5),
        delay=2,
        finish_reason=FinishReason.LENGTH,
        reported_cost=Decimal("0.25"),
    )
    assert third == Answer(tool_calls=[ToolCall(id="call_1", name="get_weather", arguments='{"city":"Bodø"}')])
    assert failures == [Failure(ErrorCategory.OVERLOADED, retry_after=3)] * 2
    assert isinstance(last, Answer)
    assert str(last.faults) == "cut_after(bytes=40) | split_utf8()"
    assert (script.models, script.repeats, script.name) == (["tiny"], False, "weather.yaml")
    as_json = tmp_path / "weather.json"
    as_json.write_text(json.dumps({"steps": ["The sky is blue.", {"fail": "auth"}], "repeats": True}))
    assert Script.load(as_json) == Script(
        [Answer(text="The sky is blue."), Failure(ErrorCategory.AUTH)], repeats=True, name="weather.json"
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("steps:\n  - words: a\n", 2, "steps[0].words: words is no field here; known are chunks, "),
        ("steps:\n  - a\n  - text: a\n    usage:\n      input_tokens: -1\n", 5, "steps[1].usage.input_tokens: must be"),
        ("steps:\n  - a\n  - fail: overlooked\n", 3, "steps[1].fail: must be one of auth, permission"),
        ("steps:\n  - delay: soon\n", 2, "steps[0].delay: must be 0 or more seconds, got 'soon'"),
        ("steps:\n  - delay: .nan\n", 2, "steps[0].delay: must be 0 or more seconds, got nan"),
        ("steps:\n  - text: yes\n", 2, "steps[0].text: must be a text, got true or false"),
        ("steps:\n  - text: a\n    chunks: [a]\n", 2, "steps[0]: Answer takes text or chunks, not both"),
        ("steps:\n  - text: a\n    times: 0\n", 3, "steps[0].times: must be 1 or more"),
        ("steps:\n  - [a]\n", 2, "steps[0]: must be an object with named members, got a list"),
        ("steps:\n  - tool_calls: [{id: x}]\n", 2, "steps[0].tool_calls[0]: name is missing"),
        ("steps:\n  - faults: [cut]\n", 2, "steps[0].faults[0]: must be one of cut_after, "),
        ("steps:\n  - faults: [{cut_after: {lines: 1}}]\n", 2, "steps[0].faults[0]: cut_after cannot be made"),
        ("steps:\n  - faults: [{cut_after: {events: '1'}}]\n", 2, "steps[0].faults[0]: cut_after cannot be made"),
        ("steps:\n  - reported_cost: dear\n", 2, "steps[0].reported_cost: must be an amount in USD, got 'dear'"),
        ("steps:\n  - 1: a\n", 2, "steps[0]: the name of a member must be a text, got 1"),
        ("models: [a]\n", 1, "steps is missing"),
        ("- a\n", 1, "must be an object with named members, got a list"),
        ("", 1, "must be an object with named members, got nothing"),
        ("steps:\n  - a\n - b\n", 3, "invalid YAML: "),
    ],
)
def test_a_wrong_file_names_itself_the_line_and_the_field(tmp_path: Path, text: str, line: int, said: str) -> None:
    """Whoever wrote the file is told where to look and what belongs there."""
    file = tmp_path / "weather.yaml"
    file.write_text(text)
    with pytest.raises(ScriptFileError) as caught:
        Script.load(file)
    message = str(caught.value)
    assert message.startswith(f"{file}, line {line}")
    assert said in message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            '{"repeats": true,\n "steps": [\n  "a",\n  {"text":\n   1}]}',
            5,
            "steps[1].text: must be a text, got a number",
        ),
        ('{"steps": [{"a]}": [{}, "}"],\n "text": "b"}]}', 1, "steps[0].a]}: a]} is no field here"),
        ('{"steps": [],\n "models": [{}]}', 2, "models[0]: must be a text, got an object"),
        ('{"steps": [\n}', 2, "column 1: invalid JSON: Expecting value"),
        ("[" * 100_000, 0, "nested too deeply"),
    ],
)
def test_wrong_json_is_told_as_exactly(tmp_path: Path, text: str, line: int, said: str) -> None:
    """JSON files know their lines, too."""
    file = tmp_path / "weather.json"
    file.write_text(text)
    with pytest.raises(ScriptFileError) as caught:
        Script.load(str(file))
    assert str(caught.value).startswith(f"{file}, line {line}" if line else str(file))
    assert said in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A missing file, another ending and another encoding are named as such."""
    binary = tmp_path / "script.json"
    binary.write_bytes(b"\xff\xfe{")
    for path, said in (
        (tmp_path / "none.yaml", "cannot be read"),
        (tmp_path / "script.txt", "ends with .yaml, .yml, .json"),
        (binary, "not UTF-8"),
    ):
        with pytest.raises(ScriptFileError, match=said):
            Script.load(path)


def test_yaml_without_pyyaml_names_the_extra(tmp_path: Path) -> None:
    """Who lacks pyyaml is told what to install, and JSON works without it."""
    (tmp_path / "a.yaml").write_text("steps: [a]")
    (tmp_path / "a.json").write_text('{"steps": ["a"]}')
    program = (
        "import sys; sys.modules['yaml'] = None\nfrom airframe.testing import Script\n"
        f"Script.load({str(tmp_path / 'a.json')!r}); Script.load({str(tmp_path / 'a.yaml')!r})"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert "a.yaml is YAML, which needs pyyaml: pip install 'jeeves-airframe[testing]'" in last
