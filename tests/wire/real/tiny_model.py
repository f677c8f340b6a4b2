"""Writes a language model that fits into a megabyte: the architecture of Llama, random weights, a
vocabulary of some hundred words. Needs only the standard library.

    python3 tests/wire/real/tiny_model.py FILE [SEED]

What it says is nonsense, but a real server loads it, tokenizes, samples, streams, counts and keeps a
cache for it as for any other. The file format is GGUF version 3 as ggml's documentation gives it:
magic, counts, metadata, descriptions of the tensors, then their data, each part aligned to 32 bytes,
all of it little-endian.

The one idea beyond randomness: channel 0 of every embedding holds the same large number, so channel 0
of the last matrix works as a bias of each token. With it bytes, single characters and control tokens
are never said by chance, and the end of the answer comes after a few dozen words. TOOL_CALL is one
token, so that a request can force a tool call with logit_bias.
"""

import random
import struct
import sys
from array import array

CHANNELS, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 64, 2, 4, 2, 128
CONTEXT = 8192
ALIGN = 32

UNKNOWN, BEGIN, END = 0, 1, 2
NORMAL, UNKNOWN_TYPE, CONTROL, BYTE = 1, 2, 3, 6
TOOL_CALL_TEXT = "<tool_call>\n"

# Words of several scripts, so that tokens of two, three and four bytes per character come up.
WORDS = """gateway request answer stream token model provider price cache limit key route budget
    journal worker thread socket buffer table row column clock second minute hour day night river
    mountain forest harbour island bridge village garden window door kitchen letter paper pencil
    music violin piano drum song dance colour red green blue yellow white black small large quick
    slow warm cold early late never always often maybe here there under over between behind and or
    but because when while until after before the a an of to in on with without from into is are was
    were has have had will would can could does did makes takes gives finds keeps sends reads writes
    opens closes begins ends waits runs sleeps wakes knows thinks says asks tells
    façade señor Größe naïve čaj žluť Ελλάδα μέρα привет мир שלום سلام 你好 世界 模型 こんにちは 안녕
    🙂 🚀 🌍 👩‍🚀 ½ € ∑""".split()

# The shape of conversation that many open models use, with tools in the style of Hermes: llama-server
# reads the format of tool calls from the template.
TEMPLATE = r"""{%- macro turn(role, text) -%}
{{ '<|im_start|>' + role + '\n' + text + '<|im_end|>\n' }}
{%- endmacro -%}
{%- if tools -%}
{{ '<|im_start|>system\nThese functions can be called:\n<tools>' }}
{%- for tool in tools -%}{{ '\n' + (tool | tojson) }}{%- endfor -%}
{{ '\n</tools>\nWrite each call as <tool_call>\n{"name": <the name>, "arguments": <an object>}\n</tool_call>' }}
{{- '<|im_end|>\n' }}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{{ turn('user', '<tool_response>\n' + message.content + '\n</tool_response>') }}
{%- elif message.tool_calls -%}
{{ '<|im_start|>assistant\n' }}
{%- if message.content -%}{{ message.content + '\n' }}{%- endif -%}
{%- for call in message.tool_calls -%}
{%- if not loop.first -%}{{ '\n' }}{%- endif -%}
{{ '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\n' }}
{%- else -%}
{{ turn(message.role, message.content) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}
"""


def vocabulary():
    """[(text, score, type)], in the order of their ids. SentencePiece merges the pair with the best
    score first, so single characters come last; a leading blank is written as U+2581."""
    tokens = [("<unk>", 0.0, UNKNOWN_TYPE), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    words = dict.fromkeys(form for word in WORDS for form in ("\u2581" + word, word))
    tokens += [(word, -float(n), NORMAL) for n, word in enumerate(words, 1)]
    letters = [chr(code) for code in range(0x21, 0x7F)] + ["\u2581"]
    tokens += [(letter, -1e4, NORMAL) for letter in letters if letter not in words]
    return tokens + [(TOOL_CALL_TEXT, -1e4, NORMAL)]


TOOL_CALL = len(vocabulary()) - 1


# --- the values of GGUF's metadata, each as (type number, bytes) -----------------------------------

def _text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def u32(value):
    return 4, struct.pack("<I", value)


def f32(value):
    return 6, struct.pack("<f", value)


def flag(value):
    return 7, struct.pack("<?", value)


def string(value):
    return 8, _text(value)


def array_of(make, values):
    items = [make(value) for value in values]
    return 9, struct.pack("<IQ", items[0][0], len(items)) + b"".join(data for _, data in items)


def i32(value):
    return 5, struct.pack("<i", value)


def metadata(tokens):
    texts, scores, types = zip(*tokens)
    return {
        "general.architecture": string("llama"),
        "general.name": string("tiny random"),
        "general.file_type": u32(0),
        "llama.context_length": u32(CONTEXT),
        "llama.embedding_length": u32(CHANNELS),
        "llama.block_count": u32(LAYERS),
        "llama.feed_forward_length": u32(FEED_FORWARD),
        "llama.attention.head_count": u32(HEADS),
        "llama.attention.head_count_kv": u32(KV_HEADS),
        "llama.attention.layer_norm_rms_epsilon": f32(1e-5),
        "llama.rope.dimension_count": u32(CHANNELS // HEADS),
        "llama.vocab_size": u32(len(tokens)),
        "tokenizer.ggml.model": string("llama"),
        "tokenizer.ggml.tokens": array_of(string, texts),
        "tokenizer.ggml.scores": array_of(f32, scores),
        "tokenizer.ggml.token_type": array_of(i32, types),
        "tokenizer.ggml.unknown_token_id": u32(UNKNOWN),
        "tokenizer.ggml.bos_token_id": u32(BEGIN),
        "tokenizer.ggml.eos_token_id": u32(END),
        "tokenizer.ggml.add_bos_token": flag(True),
        "tokenizer.ggml.add_eos_token": flag(False),
        "tokenizer.chat_template": string(TEMPLATE),
    }


# --- the weights -----------------------------------------------------------------------------------

def tensors(tokens, seed):
    """{name: ((columns, rows), values)}; a vector has no rows."""
    source = random.Random(seed)

    def noise(columns, rows, size):
        return (columns, rows), array("f", (source.gauss(0, size) for _ in range(columns * rows)))

    def ones():
        return (CHANNELS,), array("f", [1.0]) * CHANNELS

    into, out_of = noise(CHANNELS, len(tokens), 0.3), noise(CHANNELS, len(tokens), 0.4)
    for n, (text, score, kind) in enumerate(tokens):
        into[1][n * CHANNELS] = 8.0
        sayable = kind == NORMAL and score > -1e4
        out_of[1][n * CHANNELS] = 0.0 if sayable else -6.0
    out_of[1][END * CHANNELS] = 0.3
    out_of[1][TOOL_CALL * CHANNELS] = -2.0

    found = {"token_embd.weight": into}
    narrow = KV_HEADS * (CHANNELS // HEADS)
    for layer in range(LAYERS):
        for name, value in {
            "attn_norm": ones(), "ffn_norm": ones(),
            "attn_q": noise(CHANNELS, CHANNELS, 0.06), "attn_k": noise(CHANNELS, narrow, 0.06),
            "attn_v": noise(CHANNELS, narrow, 0.06), "attn_output": noise(CHANNELS, CHANNELS, 0.06),
            "ffn_gate": noise(CHANNELS, FEED_FORWARD, 0.06),
            "ffn_up": noise(CHANNELS, FEED_FORWARD, 0.06),
            "ffn_down": noise(FEED_FORWARD, CHANNELS, 0.06),
        }.items():
            found[f"blk.{layer}.{name}.weight"] = value
    return {**found, "output_norm.weight": ones(), "output.weight": out_of}


def _padded(data):
    return data + b"\0" * (-len(data) % ALIGN)


def write(path, seed=7):
    """The model into a file; the same seed gives the same bytes."""
    tokens = vocabulary()
    facts, weights = metadata(tokens), tensors(tokens, seed)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(weights), len(facts))
    for name, (kind, data) in facts.items():
        head += _text(name) + struct.pack("<I", kind) + data
    body = b""
    for name, (shape, values) in weights.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(body))
        if sys.byteorder == "big":
            values.byteswap()
        body += _padded(values.tobytes())
    with open(path, "wb") as file:
        file.write(_padded(head) + body)
    return path


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    write(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    print(f"{len(vocabulary())} tokens, {TOOL_CALL_TEXT.strip()} is {TOOL_CALL}")
