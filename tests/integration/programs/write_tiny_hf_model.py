"""Writes the tiny scripted model as a Hugging Face folder, as mlx-lm and transformers load it: `... FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from airframe.testing import tiny_model as tiny

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm"}


def hf_name(name: str) -> str:
    """'blk.0.attn_q' -> 'model.layers.0.self_attn.q_proj.weight'."""
    if not name.startswith("blk."):
        return f"{OTHER_NAMES[name]}.weight"
    _, layer, part = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"


def safetensors(tensors: dict[str, np.ndarray[Any, np.dtype[np.float32]]]) -> bytes:
    """The length of a JSON header, the header, and the tensors one after another."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        start, data = len(data), data + tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write(folder: Path) -> None:
    tokens, merges = tiny._vocabulary()
    ends = {"bos_token_id": tokens.index(tiny._PAD), "eos_token_id": tokens.index(tiny._IM_END)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    files: dict[str, dict[str, Any]] = {
        "config.json": ends
        | {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": tiny._VOCABULARY,
            "hidden_size": tiny._EMBEDDING,
            "intermediate_size": tiny._FEED_FORWARD,
            "num_hidden_layers": tiny._LAYERS,
            "num_attention_heads": tiny._HEADS,
            "num_key_value_heads": tiny._KV_HEADS,
            "max_position_embeddings": tiny.CONTEXT_LENGTH,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": False,
        },
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [
                {"id": tokens.index(token), "content": token, "special": token in tiny._CONTROL} | flags
                for token in tiny._CONTROL + tiny._MARKUP
            ],
            "pre_tokenizer": byte_level,
            "decoder": byte_level,
            "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tiny._PAD,
            "eos_token": tiny._IM_END,
            "chat_template": tiny._TEMPLATE,
        },
    }
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    weights = tiny._weights(tokens, loop=False)
    (folder / "model.safetensors").write_bytes(safetensors({hf_name(name): weights[name] for name in weights}))


write(Path(sys.argv[1]))
