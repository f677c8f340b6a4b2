// The official @anthropic-ai/sdk package against Relay's /v1/messages. Prints one JSON object by model;
// the test checks it.
// node anthropic.mjs URL KEY WORD MODEL...
import Anthropic from '@anthropic-ai/sdk';

const [baseURL, apiKey, word, ...models] = process.argv.slice(2);
const client = new Anthropic({baseURL, apiKey, maxRetries: 0});
const user = (content) => [{role: 'user', content}];
const tools = [{
  name: 'get_weather',
  input_schema: {type: 'object', properties: {city: {type: 'string'}}, required: ['city']},
}];
const schema = {
  type: 'object',
  properties: {name: {type: 'string'}, age: {type: 'integer'}},
  required: ['name', 'age'],
  additionalProperties: false,
};

async function failure(call) {
  try {
    await call();
    return 'none';
  } catch (e) {
    return [e.constructor.name, e.status ?? null, e.type ?? e.error?.error?.type ?? null];
  }
}

async function run(model) {
  const out = {};
  const ask = (content, more = {}) => ({model, max_tokens: 1000, messages: user(content), ...more});

  const {data, response} = await client.messages.create(ask(`plain ${word}`)).withResponse();
  out.plain = data.content[0].text;
  out.stop = data.stop_reason;
  out.usage = data.usage;
  out.id = response.headers.get('x-relay-id');

  const stream = client.messages.stream(ask(`streamed ${word}`));
  out.text = '';
  out.kinds = [];
  stream.on('text', (delta) => (out.text += delta));
  stream.on('streamEvent', (event) => out.kinds.push(event.type));
  const final = await stream.finalMessage();
  out.streamed = final.content[0].text;
  out.streamUsage = final.usage;

  const first = await client.messages.stream(ask(`get_weather ${word}`, {tools})).finalMessage();
  const call = first.content.find((b) => b.type === 'tool_use');
  out.tool = [first.stop_reason, call.name, call.input];
  const second = await client.messages.create(ask('', {
    tools,
    messages: [...user(`get_weather ${word}`), {role: 'assistant', content: first.content},
      ...user([{type: 'tool_result', tool_use_id: call.id, content: 'sunny'}])],
  }));
  out.answered = [second.stop_reason, second.content[0].text.length > 0];

  const object = await client.messages.create(
    ask(`object ${word}`, {output_config: {format: {type: 'json_schema', schema}}}));
  out.object = JSON.parse(object.content[0].text);

  const counted = await client.messages.countTokens({model, messages: user(`count ${word}`)});
  out.counted = counted.input_tokens;

  out.errors = {
    provider: await failure(() => client.messages.create(ask('[[sim:status=400]]'))),
    cut: await failure(() =>
      client.messages.stream(ask(`cut ${word} [[sim:events=10;reset_event=8;gap_ms=30]]`)).finalMessage()),
    model: await failure(() => client.messages.create({...ask('x'), model: 'nobody/none'})),
    key: await failure(() => new Anthropic({baseURL, apiKey: 'glw_bad', maxRetries: 0})
      .messages.create(ask('x'))),
  };

  // The simulator's rule refuses the first one of these words.
  const again = new Anthropic({baseURL, apiKey, maxRetries: 2});
  const retried = await again.messages.create(ask(`retry-${model} ${word}`));
  out.retried = retried.content[0].text;

  const left = client.messages.stream(ask(`abort ${word} [[sim:tokens=500;gap_ms=20]]`));
  let deltas = 0;
  left.on('text', () => ++deltas === 4 && left.abort());
  out.aborted = (await failure(() => left.finalMessage()))[0];
  return out;
}

const out = {};
for (const model of models) out[model] = await run(model);
console.log(JSON.stringify(out));
