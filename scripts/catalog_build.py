#!/usr/bin/env python3
"""Turns a source catalogue (JSON, the argument) into src/catalog/data/catalog.json, and writes the tables
below down for people as docs/generated/quality-rules.md (without an argument: only that).

The source holds facts with their origin: prices, limits, capabilities, benchmark results. What is added
here is one number per model, `quality` from 0 to 100, by the formula that docs/guides/quality.md
explains: a weighted mean of benchmarks, each put on one scale by two anchors; and where nobody has
published any, an estimate from ESTIMATES, marked as such. Prices are copied as decimal text, never
through a float.
"""
import json
import os
import re
import sys
from decimal import Decimal

# metric: (weight, (score, points), (score, points)). A straight line through both anchors, cut to 0..100.
# SciCode and Terminal-Bench Hard are parts of the AA Coding Index, so each counts half.
BENCHMARKS = {
    "LMArena text Elo": (Decimal(3), (1200, 25), (1300, 45)),
    "AA Intelligence Index v4.0": (Decimal(3), (20, 35), (60, 90)),
    "AA Intelligence Index v4.1": (Decimal(3), (20, 35), (60, 90)),
    "Artificial Analysis Coding Agent Index": (Decimal(1), (40, 65), (70, 92)),
    "Artificial Analysis Coding Index": (Decimal(1), (0, 20), (40, 70)),
    "SciCode": (Decimal("0.5"), (10, 20), (50, 70)),
    "Terminal-Bench Hard": (Decimal("0.5"), (0, 25), (30, 65)),
    "Aider Polyglot": (Decimal(1), (0, 20), (100, 80)),
    "SWE-Bench Pro": (Decimal(1), (20, 50), (70, 90)),
    "SWE-Bench Verified": (Decimal(1), (40, 35), (90, 80)),
    "Terminal-Bench": (Decimal(1), (40, 60), (80, 90)),
}
# The same name means another test there (an agent harness), or too few models share the scale.
NOT_USED = {("SWE-Bench Pro", "https://artificialanalysis.ai/agents/coding-agents"),
            ("Terminal-Bench", "https://artificialanalysis.ai/agents/coding-agents")}
NOT_USED_METRICS = {"SWE-Atlas Codebase QnA", "SWE-Atlas Refactoring", "SWE-Atlas Test Writing"}

# The same weights under another name: the facts of the second are those of the first.
SAME = {
    "mistral/mistral-large-latest": "mistral/mistral-large-2512",
    "mistral/mistral-small-latest": "mistral/mistral-small-2603",
    "together/deepseek-ai/DeepSeek-V4-Pro": "deepseek/deepseek-v4-pro",
}

# Pattern on the id in lower case without its provider, quality, why. First match wins.
ESTIMATES = [
    (r"^claude-fable-5-2$", 92, "two steps after claude-fable-5"),
    (r"^claude-fable-5-1$", 91, "one step after claude-fable-5"),
    (r"^claude-opus-5-5$", 90, "two steps after claude-opus-4-8"),
    (r"^claude-opus-5$", 89, "one step after claude-opus-4-8"),
    (r"^claude-opus-4-1$", 68, "one step before claude-opus-4-5"),
    (r"^claude-sonnet-5-5$", 82, "two steps after claude-sonnet-4-6"),
    (r"^claude-sonnet-5$", 78, "one step after claude-sonnet-4-6"),
    (r"^claude-haiku-5-5$", 72, "one generation after claude-haiku-4-5"),
    (r"^gpt-5-mini$", 55, "small model of the gpt-5 generation"),
    (r"^gpt-5-nano$", 40, "smallest model of the gpt-5 generation"),
    (r"^gpt-5-pro$", 74, "gpt-5 with more thinking"),
    (r"^gpt-5\.1$", 71, "one step after gpt-5"),
    (r"^gpt-5\.2-pro$", 75, "gpt-5.2 with more thinking"),
    (r"^gpt-5\.4-mini$", 62, "small model of the gpt-5.4 generation"),
    (r"^gpt-5\.4-nano$", 48, "smallest model of the gpt-5.4 generation"),
    (r"^gpt-5\.4-pro$", 83, "gpt-5.4 with more thinking"),
    (r"^gpt-5\.5-pro$", 85, "gpt-5.5 with more thinking"),
    (r"^gpt-5\.6-sol$", 86, "one step after gpt-5.5"),
    (r"^gpt-5\.6-terra$", 78, "middle model of the gpt-5.6 generation"),
    (r"^gpt-5\.6-luna$", 60, "small model of the gpt-5.6 generation"),
    (r"^gpt-6-astra$", 92, "largest model of the gpt-6 generation"),
    (r"^gpt-6(\.1)?-sol$", 88, "one generation after gpt-5.6-sol"),
    (r"^gpt-6(\.1)?-terra$", 80, "one generation after gpt-5.6-terra"),
    (r"^gpt-6-luna$", 62, "one generation after gpt-5.6-luna"),
    (r"^gemini-3\.[678]-flash$", 74, "after gemini-3.5-flash"),
    (r"^gemini-3\.5-flash$", 72, "middle model, between gemini-3-flash and gemini-3.1-pro"),
    (r"^gemini-3\.5-flash-lite$", 55, "small model, one step after gemini-3.1-flash-lite"),
    (r"^gemini-3\.1-flash-lite$", 48, "small model, a generation after gemini-2.5-flash-lite"),
    (r"gemma-4-26b", 44, "open model of 26B parameters (4B active), 2026"),
    (r"gemma-4-31b", 48, "open model of 31B parameters, 2026"),
    (r"llama-4-scout", 34, "open model of 109B parameters (17B active), 2025"),
    (r"gpt-oss[-:]120b", 48, "open reasoning model of 117B parameters (5B active), 2025"),
    (r"gpt-oss[-:]20b", 38, "open reasoning model of 21B parameters (4B active), 2025"),
    (r"qwen3-32b", 42, "open reasoning model of 32B parameters, 2025"),
    (r"qwen3\.8-27b", 52, "open reasoning model of 27B parameters, 2026"),
    (r"qwen3\.6-27b", 48, "open reasoning model of 27B parameters, 2026"),
    (r"^magistral-medium", 46, "mistral-medium of 2025 with reasoning"),
    (r"^magistral-small", 40, "mistral-small of 2025 with reasoning"),
    (r"^ministral-3b", 14, "open model of 3B parameters"),
    (r"^ministral-8b", 22, "open model of 8B parameters"),
    (r"^mistral-medium-2508$", 45, "one step after mistral-medium-2505"),
    (r"^mistral-nemo$", 20, "open model of 12B parameters, 2024"),
    (r"^mistral-small-2506$", 34, "open model of 24B parameters, 2025"),
    (r"^open-mistral-7b$", 8, "open model of 7B parameters, 2023"),
    (r"^open-mixtral-8x22b$", 24, "open model of 141B parameters (39B active), early 2024"),
    (r"^open-mixtral-8x7b$", 18, "open model of 47B parameters (13B active), 2023"),
    (r"^grok-4\.20-.*-non-reasoning$", 60, "grok-4.20 without its reasoning"),
    (r"^grok-4\.20-.*-reasoning$", 70, "frontier family, spring 2026"),
    (r"^grok-4\.3$", 72, "one step after grok-4.20"),
    (r"^grok-build", 60, "small model for code, 2026"),
    (r"^grok-4\.5$", 76, "one step after grok-4.3"),
    (r"^grok-4\.6$", 79, "one step after grok-4.5"),
    (r"lfm2-24b", 24, "open model of 24B parameters (2B active)"),
    (r"minimax-m2[.p]7", 62, "large open reasoning model, early 2026"),
    (r"minimax-m3", 68, "one generation after MiniMax-M2.7"),
    (r"qwen2\.5-7b", 22, "open model of 7B parameters, 2024"),
    (r"qwen3-235b-a22b-instruct-2507", 50, "open model of 235B parameters (22B active), 2025"),
    (r"qwen3\.5-397b", 63, "open model of 397B parameters (17B active), 2026"),
    (r"qwen3\.5-9b", 36, "open reasoning model of 9B parameters, 2026"),
    (r"qwen3\.6-plus", 64, "middle model of the qwen3.6 generation"),
    (r"qwen3p7-plus", 66, "middle model of the qwen3.7 generation"),
    (r"qwen3\.7-max", 70, "largest model of the qwen3.7 generation"),
    (r"cogito-v2-1-671b", 50, "open model of 671B parameters, 2025"),
    (r"rnj-1", 26, "open model of 8B parameters, 2025"),
    (r"gemma-3n-e4b", 18, "open model of 4B effective parameters, 2025"),
    (r"llama-3-8b", 14, "open model of 8B parameters, 2024"),
    (r"kimi-k2[.p]6", 68, "large open model, spring 2026"),
    (r"kimi-k2[.p]7-code", 70, "one step after Kimi-K2.6, for code"),
    (r"kimi-k3", 77, "one generation after Kimi-K2.7"),
    (r"nemotron-3-ultra", 60, "open model of 550B parameters (55B active), 2026"),
    (r"glm-5[.p]2", 69, "two steps after GLM-5"),
    (r"glm-5[.p]1", 67, "one step after GLM-5"),
    (r"glm-4\.7", 58, "one generation before GLM-5"),
    (r"/inkling$", 58, "large open model, 2026; from its price class"),
    (r"^command-a-plus", 50, "one generation after command-a"),
    (r"^command-a-reasoning", 42, "command-a with reasoning"),
    (r"^command-a-vision", 30, "command-a with vision"),
    (r"^command-r7b", 16, "open model of 7B parameters, 2024"),
    (r"^north-mini-code", 34, "small model for code, 2026"),
    (r"^gemma4$", 30, "open model of 8B parameters (4B effective), 2026"),
    (r"^qwen3:4b$", 24, "open reasoning model of 4B parameters, 2025"),
    (r"^qwen3\.5$", 36, "open reasoning model of 9B parameters, 2026"),
    (r"^qwen3\.6$", 46, "open reasoning model of 35B parameters (3B active), 2026"),
    (r"^qwen3-coder$", 42, "open model of 30B parameters (3B active), 2025"),
    (r"^llama3\.2$", 14, "open model of 3B parameters, 2024"),
    (r"^deepseek-r1$", 28, "distilled open reasoning model of 8B parameters, 2025"),
    (r"^nemotron-3-nano:30b$", 40, "open reasoning model of 30B parameters (3B active), 2025"),
]

# What a local server may have installed: start of the name and estimate, the longest start wins.
LOCAL = {
    "codellama": 12, "command-r": 21, "deepseek-coder-v2": 28, "deepseek-r1:1.5b": 10,
    "deepseek-r1:7b": 26, "deepseek-r1:8b": 28, "deepseek-r1:14b": 34, "deepseek-r1:32b": 42,
    "deepseek-r1:70b": 44, "deepseek-r1:671b": 58, "devstral": 38, "gemma2": 20, "gemma2:27b": 28,
    "gemma2:2b": 12, "gemma3": 24, "gemma3:1b": 10, "gemma3:270m": 4, "gemma3:12b": 32,
    "gemma3:27b": 38, "gemma3n": 18, "gemma4": 30, "gemma4:26b": 44, "gemma4:31b": 48,
    "glm-4.7-flash": 44, "gpt-oss": 38, "gpt-oss:20b": 38, "gpt-oss:120b": 48, "granite3": 16,
    "granite4": 22, "llama2": 6, "llama3": 14, "llama3:70b": 28, "llama3.1": 20,
    "llama3.1:70b": 34, "llama3.1:405b": 40, "llama3.2": 14, "llama3.2:1b": 8,
    "llama3.2-vision": 22, "llama3.3": 36, "llama4": 34, "magistral": 40, "mistral": 12,
    "mistral-nemo": 20, "mistral-small": 33, "mistral-small3.2": 34, "mixtral": 18,
    "mixtral:8x22b": 24, "nemotron-3-nano": 40, "olmo2": 18, "phi3": 16, "phi4": 32,
    "phi4-mini": 20, "qwen2": 16, "qwen2.5": 22, "qwen2.5:0.5b": 4, "qwen2.5:1.5b": 9,
    "qwen2.5:3b": 14, "qwen2.5:14b": 29, "qwen2.5:32b": 34, "qwen2.5:72b": 37,
    "qwen2.5-coder": 22, "qwen2.5-coder:32b": 36, "qwen3": 32, "qwen3:0.6b": 8, "qwen3:1.7b": 15,
    "qwen3:4b": 24, "qwen3:8b": 32, "qwen3:14b": 37, "qwen3:30b": 42, "qwen3:32b": 42,
    "qwen3:235b": 50, "qwen3-coder": 42, "qwen3.5": 36, "qwen3.5:0.8b": 12, "qwen3.5:2b": 20,
    "qwen3.5:4b": 30, "qwen3.5:9b": 36, "qwen3.5:27b": 46, "qwen3.5:35b": 45, "qwen3.6": 46,
    "qwq": 42, "smollm": 4, "smollm2": 5, "tinyllama": 3,
}

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PRICES = ["input", "output", "cached_input", "cache_write", "cache_write_1h"]


def metric_of(fact):
    """The benchmark's name without the variant in brackets."""
    return re.sub(r"\s*\(.*\)$", "", fact["metric"]).strip()


def quality_from_facts(facts):
    """(quality, one line) from benchmark results, or None. Several results of one benchmark are averaged."""
    results = {}
    for fact in facts:
        metric = metric_of(fact)
        if metric in NOT_USED_METRICS or (metric, fact["source"]) in NOT_USED:
            continue
        results.setdefault(metric, []).append(fact)
    total = weights = Decimal(0)
    words = []
    for metric, found in results.items():
        weight, (x0, y0), (x1, y1) = BENCHMARKS[metric]
        score = sum(Decimal(f["score"]) for f in found) / len(found)
        points = y0 + (score - x0) * (y1 - y0) / Decimal(x1 - x0)
        total += weight * min(Decimal(100), max(Decimal(0), points))
        weights += weight
        sources = sorted({re.sub(r"^https?://(www\.)?", "", f["source"]).split(" (")[0] for f in found})
        words.append(f"{metric} {score.quantize(Decimal('0.1'))} ({', '.join(sources)})")
    if not weights:
        return None
    return (total / weights).quantize(Decimal("0.1")), "; ".join(words)


def quality_of(model, models):
    """(quality, estimated, source) of a model; (None, False, "") where even the rules know nothing."""
    key = f"{model['provider']}/{model['id']}"
    known = quality_from_facts(model.get("quality") or [])
    if known is None and key in SAME:
        known = quality_from_facts(models[SAME[key]]["quality"])
        if known is not None:
            known = (known[0], f"as {SAME[key]}: {known[1]}")
    if known is not None:
        return known[0], False, known[1]
    for pattern, quality, why in ESTIMATES:
        if re.search(pattern, model["id"].lower()):
            return Decimal(quality), True, "estimate: " + why
    return None, False, ""


def price_note(model):
    """Where other sources differ, for people."""
    notes = []
    other = model.get("other")
    if other:
        notes.append(f"{other['src']} says {other['input']}/{other['output']}")
    cross = model.get("llm_prices")
    if isinstance(cross, dict):
        notes.append(f"llm_prices says {cross['input']}/{cross['output']}")
    return "; ".join(notes)


def later_prices(note):
    """A price change that was announced with its date, from the source's note."""
    found = re.match(r"price changes on (\d{4}-\d\d-\d\d): (\{.*\})$", note or "")
    if not found:
        return None
    names = {"input_mtok": "input", "cache_read_mtok": "cached_input", "output_mtok": "output"}
    prices = json.loads(found.group(2), parse_float=Decimal, parse_int=Decimal)
    return {"from": found.group(1) + "T00:00:00Z", **{names[k]: v for k, v in prices.items()}}


def minutes(text):
    hours, mins = text.split(":")
    return int(hours) * 60 + int(mins)


def window_of(window):
    start, end = window["utc"].split("-")
    return {"from_minute": minutes(start), "to_minute": minutes(end),
            **{k: window[k] for k in PRICES if window.get(k) is not None}}


def entry(model, models):
    """One model of the built file. What is not stated is left out: no key means that nobody says."""
    out = {"id": f"{model['provider']}/{model['id']}", "name": model["name"]}
    for key in PRICES:
        if model.get(key) is not None:
            out[key] = model[key]
    if model.get("tiers"):
        out["tiers"] = [{k: v for k, v in tier.items() if v is not None} for tier in model["tiers"]]
    if model.get("windows"):
        out["windows"] = [window_of(w) for w in model["windows"]]
    if model.get("tiers") and model.get("windows"):
        sys.exit(f"{out['id']}: tiers and windows together are not defined")
    later = later_prices(model.get("note"))
    if later:
        out["later"] = later
    for key in ("context", "max_output"):
        if model.get(key) is not None:
            out[key] = model[key]
    for key in ("tools", "vision", "json", "reasoning"):
        if model["caps"].get(key) is not None:
            out[key] = model["caps"][key]
    if model.get("no_temperature"):
        out["no_temperature"] = True
    quality, estimated, source = quality_of(model, models)
    if quality is not None:
        out["quality"] = quality
        if estimated:
            out["quality_estimated"] = True
        out["quality_source"] = source
    out["price_source"] = model["price_src"]
    if price_note(model):
        out["price_note"] = price_note(model)
    return out


def text_of(value):
    """Compact JSON in which decimals keep their digits."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text_of(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def write_data(source):
    models = {f"{m['provider']}/{m['id']}": m for m in source["models"]}
    entries = sorted((entry(m, models) for m in models.values()), key=lambda e: e["id"])
    with open(os.path.join(ROOT, "src/catalog/data/catalog.json"), "w", encoding="utf-8") as file:
        file.write('{"date":%s,\n' % json.dumps(source["generated"]))
        file.write('"unit":"USD per million tokens; a key that is not there: nobody says",\n')
        file.write('"sources":{\n')
        rows = [f"{json.dumps(k)}:{text_of({a: b for a, b in v.items() if a != 'use'})}"
                for k, v in source["sources"].items()]
        file.write(",\n".join(rows) + "},\n")
        file.write('"local_quality":%s,\n' % text_of(dict(sorted(LOCAL.items()))))
        file.write('"models":[\n' + ",\n".join(text_of(e) for e in entries) + "\n]}\n")
    unknown = [e["id"] for e in entries if "quality" not in e]
    print(f"{len(entries)} models; without quality: {', '.join(unknown) or 'none'}")


def write_rules():
    lines = ["# The rules behind the quality numbers", "",
             "Generated by `scripts/catalog_build.py`; ../guides/quality.md explains them.", "",
             "## Benchmarks", "", "| benchmark | weight | anchor | anchor |", "|---|---|---|---|"]
    lines += [f"| {metric} | {weight} | {x0} → {y0} | {x1} → {y1} |"
              for metric, (weight, (x0, y0), (x1, y1)) in BENCHMARKS.items()]
    lines += ["", "## The same weights under another name", "", "| model | as |", "|---|---|"]
    lines += [f"| `{name}` | `{same}` |" for name, same in SAME.items()]
    lines += ["", "## Estimates", "", "| id (regular expression) | quality | why |", "|---|---|---|"]
    lines += [f"| `{pattern}` | {quality} | {why} |" for pattern, quality, why in ESTIMATES]
    lines += ["", "## Models of local servers, by the start of their name", "", "| start | quality |",
              "|---|---|"]
    lines += [f"| `{start}` | {quality} |" for start, quality in sorted(LOCAL.items())]
    os.makedirs(os.path.join(ROOT, "docs/generated"), exist_ok=True)
    with open(os.path.join(ROOT, "docs/generated/quality-rules.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    if len(sys.argv) > 2:
        sys.exit("usage: catalog_build.py [SOURCE]")
    if len(sys.argv) == 2:
        with open(sys.argv[1], encoding="utf-8") as file:
            write_data(json.load(file, parse_float=Decimal))
    write_rules()


if __name__ == "__main__":
    main()
