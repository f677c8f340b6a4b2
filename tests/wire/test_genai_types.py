"""google-genai as the reference of Gemini's side: its client and its types, which forbid what the API does
not know, read what relay-sim and the golden files answer, and what Relay asks."""

import json
from pathlib import Path

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from agents import AGENTS
from dialects import four_dialects, model_of, questions
from support import ROOT, sse

MODEL = "gemini-3-flash"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
          "additionalProperties": False}
WEATHER = types.Tool(function_declarations=[
    types.FunctionDeclaration(name=n, parameters_json_schema=SCHEMA) for n in ("get_weather", "get_time")])
both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


class Question(BaseModel):
    """The body of generateContent, of the SDK's parts: it has no type of its own for the whole."""
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)
    contents: list[types.Content]
    system_instruction: types.Content | None = None
    generation_config: types.GenerationConfig | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    safety_settings: list[types.SafetySetting] | None = None
    cached_content: str | None = None


def check_answer(body):
    """Every member is the API's, and words of lists are among those that it knows."""
    answer = types.GenerateContentResponse.model_validate(body)
    for candidate in answer.candidates or []:
        reason = candidate.finish_reason
        assert reason is None or reason in list(types.FinishReason), reason
        for part in candidate.content.parts or [] if candidate.content else []:
            assert part.model_fields_set - {"thought", "thought_signature"}, part
    return answer


@pytest.fixture(scope="module")
def google(sim):
    client = genai.Client(api_key="g-0123456789", http_options=types.HttpOptions(base_url=sim.url))
    yield client
    client.close()


def ask(google, streamed, text, **config):
    body = {"model": MODEL, "contents": text, "config": types.GenerateContentConfig(
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **config)}
    if not streamed:
        return [google.models.generate_content(**body)]
    return list(google.models.generate_content_stream(**body))


def parts_of(answers):
    return [p for a in answers for c in a.candidates or [] for p in (c.content.parts or [])]


# ---- relay-sim, as Google's own client sees it ----

@both_ways
def test_the_simulator_answers_texts(google, word, streamed):
    answers = ask(google, streamed, f"{word} [[sim:reasoning=hmm;cached_tokens=2;prompt_tokens=9]]",
                  thinking_config=types.ThinkingConfig(include_thoughts=True))
    parts = parts_of(answers)
    assert word in "".join(p.text for p in parts if not p.thought)
    assert "".join(p.text for p in parts if p.thought) == "hmm"
    last = answers[-1]
    assert last.candidates[0].finish_reason == types.FinishReason.STOP and last.response_id
    usage = last.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (9, 2)
    assert usage.total_token_count == 9 + usage.candidates_token_count + usage.thoughts_token_count


@both_ways
def test_the_simulator_calls_functions(google, word, streamed):
    parts = parts_of(ask(google, streamed, f"get_weather get_time {word}", tools=[WEATHER]))
    assert [p.function_call.name for p in parts] == ["get_weather", "get_time"]
    assert all(set(p.function_call.args) == {"city"} and p.thought_signature for p in parts)


def test_the_simulator_refuses(google, word):
    for status in (400, 404, 429, 500, 503):
        with pytest.raises(errors.APIError) as caught:
            ask(google, False, f"{word} [[sim:status={status}]]")
        assert caught.value.code == status and caught.value.status


@pytest.mark.parametrize("setting", [
    "", "finish=MAX_TOKENS", "reasoning=hmm", "tokens=30", "cached_tokens=3", "usage_at=every"])
def test_what_the_simulator_sends(sim, word, setting):
    """The client is lenient; the types alone are not."""
    body = {"contents": [{"parts": [{"text": f"{word} get_weather [[sim:{setting or 'ping'}]]"}]}],
            "tools": [WEATHER.model_dump(mode="json", by_alias=True, exclude_none=True)]}
    with sim.client.__class__(trust_env=False) as http:
        url = f"{sim.url}/v1beta/models/{MODEL}"
        check_answer(http.post(f"{url}:generateContent", json=body).json())
        for event in sse(http.post(f"{url}:streamGenerateContent?alt=sse", json=body).text.replace("\r", "")):
            check_answer(event)
        for event in http.post(f"{url}:streamGenerateContent", json=body).json():
            check_answer(event)


# ---- the golden files ----

def golden(pattern):
    files = sorted(Path(ROOT / "tests/golden").glob(pattern))
    return [pytest.param(f, id=str(f.relative_to(ROOT / "tests/golden"))) for f in files]


@pytest.mark.parametrize("file", golden("*gemini/*/answer.*"))
def test_golden_answers_are_googles(file):
    text = file.read_text()
    for body in [json.loads(text)] if file.suffix == ".json" else sse(text.replace("\r\n", "\n")):
        check_answer(body)


@pytest.mark.parametrize("file", golden("*gemini/*/sent.json"))
def test_golden_questions_are_googles(file):
    Question.model_validate(json.loads(file.read_text()))


# ---- Relay ----

@pytest.fixture(scope="module")
def relay(start_once, sim):
    return start_once.relay(four_dialects(sim.url))


def last_question(sim, word):
    return Question.model_validate(questions(sim, "gemini", word)[-1])


PNG = "aGk="
TEXTS = {"strict": True, "name": "get_weather", "description": "weather", "parameters": {
    **SCHEMA, "$schema": "http://json-schema.org/draft-07/schema#"}}


@both_ways
def test_what_a_chat_becomes(relay, sim, word, streamed):
    with openai.OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=model_of("gemini"), stream=streamed, temperature=0.5, top_p=0.9, seed=7,
            max_completion_tokens=50, stop=["END"], presence_penalty=0.5, frequency_penalty=0.25,
            reasoning_effort="low", tools=[{"type": "function", "function": TEXTS}],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
            messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": [
                {"type": "text", "text": word},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf",
                                          "file_data": f"data:application/pdf;base64,{PNG}"}}]}])
        assert not streamed or list(answer)
    asked = last_question(sim, word)
    assert asked.system_instruction.parts[0].text == "be brief"
    assert [p.inline_data.mime_type for p in asked.contents[0].parts[1:]] == [
        "image/png", "audio/wav", "application/pdf"]
    config = asked.generation_config
    assert (config.temperature, config.top_p, config.seed, config.max_output_tokens) == (0.5, 0.9, 7, 50)
    assert (config.presence_penalty, config.frequency_penalty) == (0.5, 0.25)
    assert config.stop_sequences == ["END"]
    assert config.thinking_config.thinking_level == types.ThinkingLevel.LOW
    calling = asked.tool_config.function_calling_config
    assert calling.mode == types.FunctionCallingConfigMode.ANY
    assert calling.allowed_function_names == ["get_weather"]
    assert asked.tools[0].function_declarations[0].parameters_json_schema["required"] == ["city"]


def test_what_a_message_becomes(relay, sim, word):
    with anthropic.Anthropic(base_url=relay.url, api_key=relay.first_key, max_retries=0) as client:
        client.messages.create(
            model=model_of("gemini"), max_tokens=50, system="be brief", stop_sequences=["END"],
            thinking={"type": "adaptive"}, output_config={
                "effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
            messages=[{"role": "user", "content": [
                {"type": "text", "text": word, "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "document", "source": {
                    "type": "base64", "media_type": "application/pdf", "data": PNG}}]}])
    asked = last_question(sim, word)
    assert asked.system_instruction.parts[0].text == "be brief"
    config = asked.generation_config
    assert config.response_mime_type == "application/json"
    assert config.response_json_schema["required"] == ["city"]
    assert config.thinking_config.include_thoughts


def test_what_a_response_becomes(relay, sim, word):
    with openai.OpenAI(base_url=relay.base_url, api_key=relay.first_key, max_retries=0) as client:
        client.responses.create(
            model=model_of("gemini"), instructions="be brief", max_output_tokens=50, temperature=0.5,
            reasoning={"effort": "high", "summary": "auto"}, tools=[{"type": "function", **TEXTS}],
            tool_choice="none", text={"format": {
                "type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
            input=[{"role": "user", "content": [
                {"type": "input_text", "text": word},
                {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}]}])
    asked = last_question(sim, word)
    assert asked.tool_config.function_calling_config.mode == types.FunctionCallingConfigMode.NONE
    assert asked.generation_config.response_json_schema["required"] == ["city"]


@pytest.mark.parametrize("door", AGENTS)
def test_results_of_calls(relay, sim, word, door):
    """The signature of each call goes back on it, and each result names its call."""
    agent = AGENTS[door](relay, relay.first_key, model_of("gemini"), False, word)
    first = agent.ask(f"get_weather get_time {word}")
    agent.give([(c.id, "sunny") for c in first.calls])
    _, model, results = last_question(sim, word).contents
    calls = [p.function_call for p in model.parts]
    assert all(p.thought_signature == b"sim-signature" for p in model.parts)
    assert [(r.function_response.id, r.function_response.name) for r in results.parts] == [
        (c.id, c.name) for c in calls]
