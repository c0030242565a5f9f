"""A tiny scripted llama model, written as a GGUF file: real inference whose answer is known beforehand.

The two transformer layers are small random noise. The embedding and the output matrix carry a script: the output row
of token NEXT holds the embedding of token PREVIOUS, so NEXT is the best token after PREVIOUS (a bigram model). One
embedding dimension is the same constant for every token and serves as a bias. At temperature 0 every runtime therefore
says the same; from temperature 1 on the noise shows, and the seed matters.

- After a plain chat prompt the model says `REPLY` and stops.
- If the request offers tools and the last message is not a tool result, the template ends in an empty line and the
  model calls `get_weather` with `{"city": "Oslo"}`; under a grammar (llama.cpp) the call is bent to what was offered.
- With `enable_thinking` true in the template (llama-server's default) it thinks `THOUGHT` first.
- In JSON that a grammar constrains, strings are "sample", numbers are 7, and containers close as soon as they may.

A looping model starts the reply again at its end and never stops by itself. A prompt costs about one token a
character, and the model's context holds `CONTEXT_LENGTH` tokens. The file is under 1 MB.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from typing import Final

try:
    import gguf
    import numpy as np
    from numpy.typing import NDArray
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"The tiny model is written with gguf and numpy, and {missing.name} is not installed: "
        "pip install 'jeeves-airframe[tiny-model]'",
        name=missing.name,
    ) from missing

__all__ = ["CONTEXT_LENGTH", "REPLY", "THOUGHT", "write_tiny_model"]

# No token may come twice in REPLY, or in THOUGHT: each has one successor.
REPLY: Final = "Hello from the tiny scripted model; it holds one short answer, so each run reads alike."
THOUGHT: Final = "Let me think about this first"
CONTEXT_LENGTH: Final = 4096

_Matrix = NDArray[np.float32]

# The call in two tokens: llama-cpp-python drops longer ones.
_CALL = ('{"name": "get_weather", ', '"arguments": {"city": "Oslo"}}')
_IM_START, _IM_END, _PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
_CONTROL = (_PAD, _IM_START, _IM_END)
_MARKUP = ("<tool_call>", *_CALL, "</tool_call>", "<think>", "</think>")
_UNUSED = "<|unused"

# Sizes are multiples of 32, and so is EMBEDDING / HEADS: some runtimes load nothing else.
_VOCABULARY, _EMBEDDING, _HEADS, _KV_HEADS, _FEED_FORWARD, _LAYERS = 512, 128, 4, 2, 256, 2
_SEED, _NOISE = 0, 0.03

_TEMPLATE = """\
{%- if tools -%}
{{ "<|im_start|>system\\nTools:" }}
{%- for tool in tools %}{{ "\\n" }}{{ tool | tojson }}{% endfor -%}
{{ "\\nCall one as <tool_call>{\\"name\\": NAME, \\"arguments\\": {...}}</tool_call><|im_end|>\\n" }}
{%- endif %}
{%- for m in messages -%}
{{ "<|im_start|>" }}{{ m.role }}{{ "\\n" }}
{%- if m.reasoning_content %}{{ "<think>" }}{{ m.reasoning_content }}{{ "</think>" }}{% endif %}
{%- if m.content is string %}{{ m.content }}{% elif m.content %}
{%- for part in m.content %}{{ part.text }}{% endfor %}{% endif %}
{%- for item in m.tool_calls or [] %}{% set tool_call = item.function or item -%}
{{ "<tool_call>{\\"name\\": \\"" }}{{ tool_call.name }}{{ "\\", \\"arguments\\": " }}
{%- if tool_call.arguments is string %}{{ tool_call.arguments }}
{%- else %}{{ tool_call.arguments | tojson }}{% endif %}{{ "}</tool_call>" }}
{%- endfor -%}
{{ "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt -%}
{{ "<|im_start|>assistant\\n" }}
{%- if tools and messages[-1].role != "tool" %}{{ "\\n" }}
{%- elif enable_thinking %}{{ "<think>" }}{% endif %}
{%- endif %}"""


def write_tiny_model(path: Path, *, loop: bool = False) -> Path:
    """Write the model to `path` and return it; the same call gives the same bytes.

    The file appears whole or not at all, so processes may race for it and a server may have the old one open.

    Args:
        path: the GGUF file; its folder must exist.
        loop: whether the reply starts again at its end, until the context is full.

    Raises:
        OSError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        unfinished = Path(folder, path.name)
        _write_gguf(unfinished, loop=loop)
        return unfinished.replace(path)


def _byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes that byte-level BPE uses."""
    plain = [byte for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255]
    extra = itertools.count(256)
    return [chr(byte) if byte in plain else chr(next(extra)) for byte in range(256)]


_SYMBOLS = _byte_symbols()


def _encode(text: str) -> str:
    return "".join(_SYMBOLS[byte] for byte in text.encode())


def _words(text: str) -> list[str]:
    """'Hello all.' -> ['Hello', ' all', '.'], as the GPT-2 pre-tokenizer cuts it."""
    return re.findall(r" ?[A-Za-z]+|[^A-Za-z ]", text)


def _vocabulary() -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens by id (bytes, merged words, control, markup, filler) and the merges.

    Merges only ever grow a word from its first letter, so a word is one token.
    """
    tokens = list(_SYMBOLS)
    merges: list[tuple[str, str]] = []
    for word in (*_words(REPLY), *_words(THOUGHT), "\n\n\n", "sample"):
        symbols = _encode(word)
        for end in range(1, len(symbols)):
            if symbols[: end + 1] not in tokens:
                merges.append((symbols[:end], symbols[end]))
                tokens.append(symbols[: end + 1])
    tokens += _CONTROL + _MARKUP
    return tokens + [f"{_UNUSED}{number}|>" for number in range(_VOCABULARY - len(tokens))], merges


def _script(*, loop: bool) -> list[tuple[str, str, float]]:
    """(previous token, next token, its logit) as wanted of the model."""
    reply = [_encode(word) for word in _words(REPLY)]
    thought = [_encode(word) for word in _words(THOUGHT)]
    chains: list[tuple[str, ...]] = [
        (*reply, reply[0]) if loop else tuple(reply),
        ("<think>", *thought, "</think>", reply[0]),
        (_encode("\n"), reply[0]),
        (_encode("\n\n"), "<tool_call>", *_CALL, "</tool_call>", _IM_END),
        (_encode("\n\n\n"), "<think>"),
        ('"', "sample", '"'),
    ]
    steps = [(previous, following, 10.0) for chain in chains for previous, following in itertools.pairwise(chain)]
    if not loop:
        steps.append((reply[-1], _IM_END, 14.0))  # high enough to outlive a repetition penalty
    steps += [(reply[-1], '"', 8.0), ("{", '"', 8.0), ("}", "</tool_call>", 9.0), ("}", _IM_END, 8.0)]
    steps += [("7", close, logit) for close, logit in (("}", 9.0), ("]", 8.0), (",", 7.0))]
    return steps


# Logits where the script says nothing; plain words and characters are at 0, the rest at -6.
_BIAS = {"Hello": 7.0, "]": 5.0, "}": 4.5, '"': 3.0, "7": 2.5, ",": 2.0, ":": 1.0}


def _bias(token: str) -> float:
    markup = token in _CONTROL or token in _MARKUP or token.startswith(_UNUSED)
    unwanted = markup or not "!" <= token.lstrip(_encode(" "))[:1] <= "~"
    return _BIAS.get(token, -6.0 if unwanted else 0.0)


def _hadamard(size: int) -> NDArray[np.float64]:
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def _weights(tokens: list[str], *, loop: bool) -> dict[str, _Matrix]:
    """The tensors under their GGUF names."""
    rng = np.random.default_rng(_SEED)
    index = {token: number for number, token in enumerate(tokens)}
    script = _script(loop=loop)

    def small(rows: int, columns: int) -> _Matrix:
        return (rng.standard_normal((rows, columns)) * _NOISE).astype(np.float32)

    embedding = rng.choice([-1.0, 1.0], (_VOCABULARY, _EMBEDDING)).astype(np.float32)
    # Scripted tokens get rows of a Hadamard matrix, so one transition does not leak into another.
    scripted = list(dict.fromkeys(index[previous] for previous, _, _ in script))
    embedding[scripted] = _hadamard(_EMBEDDING)[1 : len(scripted) + 1]
    embedding[:, 0] = 4.0
    rms = float(np.sqrt((embedding[0] ** 2).mean()))  # the same for every token
    head = small(_VOCABULARY, _EMBEDDING)
    head[:, 0] += np.array([_bias(token) for token in tokens], np.float32) * rms / embedding[0, 0]
    for previous, following, logit in script:
        gain = (logit - _bias(following)) * rms / (_EMBEDDING - 1)
        head[index[following], 1:] += embedding[index[previous], 1:] * np.float32(gain)
    one = np.ones(_EMBEDDING, np.float32)
    tensors: dict[str, _Matrix] = {"token_embd": embedding, "output": head, "output_norm": one}
    kv = _KV_HEADS * _EMBEDDING // _HEADS
    for block in (f"blk.{number}." for number in range(_LAYERS)):
        tensors[block + "attn_norm"] = tensors[block + "ffn_norm"] = one
        tensors[block + "attn_q"] = small(_EMBEDDING, _EMBEDDING)
        tensors[block + "attn_k"] = small(kv, _EMBEDDING)
        tensors[block + "attn_v"] = small(kv, _EMBEDDING)
        tensors[block + "attn_output"] = small(_EMBEDDING, _EMBEDDING)
        tensors[block + "ffn_gate"] = small(_FEED_FORWARD, _EMBEDDING)
        tensors[block + "ffn_up"] = small(_FEED_FORWARD, _EMBEDDING)
        tensors[block + "ffn_down"] = small(_EMBEDDING, _FEED_FORWARD)
    return tensors


def _token_type(token: str) -> gguf.TokenType:
    if token in _CONTROL:
        return gguf.TokenType.CONTROL
    if token in _MARKUP:
        return gguf.TokenType.USER_DEFINED
    return gguf.TokenType.UNUSED if token.startswith(_UNUSED) else gguf.TokenType.NORMAL


def _write_gguf(path: Path, *, loop: bool) -> None:
    tokens, merges = _vocabulary()
    out = gguf.GGUFWriter(path, "llama")
    try:
        out.add_name("tiny-scripted")
        out.add_context_length(CONTEXT_LENGTH)
        out.add_embedding_length(_EMBEDDING)
        out.add_block_count(_LAYERS)
        out.add_feed_forward_length(_FEED_FORWARD)
        out.add_head_count(_HEADS)
        out.add_head_count_kv(_KV_HEADS)
        out.add_rope_dimension_count(_EMBEDDING // _HEADS)
        out.add_rope_freq_base(10_000.0)
        out.add_layer_norm_rms_eps(1e-5)
        out.add_vocab_size(_VOCABULARY)
        out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        out.add_tokenizer_model("gpt2")
        out.add_tokenizer_pre("gpt-2")
        out.add_token_list(tokens)
        out.add_token_types([_token_type(token) for token in tokens])
        out.add_token_merges([f"{first} {second}" for first, second in merges])
        out.add_bos_token_id(tokens.index(_PAD))
        out.add_eos_token_id(tokens.index(_IM_END))
        out.add_pad_token_id(tokens.index(_PAD))
        out.add_add_bos_token(False)
        out.add_chat_template(_TEMPLATE)
        for name, tensor in _weights(tokens, loop=loop).items():
            out.add_tensor(f"{name}.weight", tensor.astype(np.float16) if tensor.ndim > 1 else tensor)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
    finally:
        out.close()
