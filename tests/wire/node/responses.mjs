// The official openai package against Relay's /v1/responses. Prints one JSON object by model; the test
// checks it.
// node responses.mjs BASE_URL KEY WORD MODEL...
import OpenAI from 'openai';
import {zodTextFormat} from 'openai/helpers/zod';
import {z} from 'zod';

const [baseURL, apiKey, word, ...models] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
const tools = [{
  type: 'function',
  name: 'get_weather',
  strict: false,
  parameters: {type: 'object', properties: {city: {type: 'string'}}, required: ['city']},
}];
const person = zodTextFormat(z.object({name: z.string(), age: z.number().int()}), 'person');

async function failure(call) {
  try {
    await call();
    return 'none';
  } catch (e) {
    return [e.constructor.name, e.status ?? null, e.code ?? null];
  }
}

async function run(model) {
  const out = {};
  const {data, response} = await client.responses.create({model, input: `plain ${word}`}).withResponse();
  out.plain = data.output_text;
  out.usage = data.usage;
  out.id = response.headers.get('x-relay-id');

  out.text = '';
  out.kinds = [];
  const stream = client.responses.stream({model, input: `streamed ${word}`});
  for await (const event of stream) {
    out.kinds.push(event.type);
    if (event.type === 'response.output_text.delta') out.text += event.delta;
  }
  out.streamed = (await stream.finalResponse()).output_text;

  const input = [{role: 'user', content: `get_weather ${word}`}];
  const first = await client.responses.stream({model, input, tools}).finalResponse();
  const call = first.output.find((o) => o.type === 'function_call');
  out.tool = [call.name, JSON.parse(call.arguments)];
  for (const {parsed_arguments: _, ...item} of first.output) input.push(item);
  input.push({type: 'function_call_output', call_id: call.call_id, output: 'sunny'});
  out.answered = (await client.responses.create({model, input, tools})).output_text;

  const parsed = await client.responses.parse({model, input: `object ${word}`, text: {format: person}});
  out.object = parsed.output_parsed;

  out.errors = {
    provider: await failure(() => client.responses.create({model, input: '[[sim:status=400]]'})),
    cut: await failure(() => client.responses.stream({
      model, input: `cut ${word} [[sim:events=10;reset_event=8;gap_ms=30]]`}).finalResponse()),
    field: await failure(() => client.responses.create({model, input: 'x', previous_response_id: 'r'})),
    key: await failure(() => new OpenAI({baseURL, apiKey: 'glw_bad', maxRetries: 0})
      .responses.create({model, input: 'x'})),
  };

  // The simulator's rule refuses the first one of these words.
  const again = new OpenAI({baseURL, apiKey, maxRetries: 2});
  out.retried = (await again.responses.create({model, input: `retry-${model} ${word}`})).output_text;

  const controller = new AbortController();
  const left = await client.responses.create(
    {model, stream: true, input: `abort ${word} [[sim:tokens=500;gap_ms=20]]`},
    {signal: controller.signal});
  let deltas = 0;
  for await (const event of left)
    if (event.type === 'response.output_text.delta' && ++deltas === 4) controller.abort();
  out.aborted = deltas;
  return out;
}

const out = {};
for (const model of models) out[model] = await run(model);
console.log(JSON.stringify(out));
