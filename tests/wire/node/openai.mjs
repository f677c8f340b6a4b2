// The official openai package against Relay. Prints one JSON object; the test checks it.
// node openai.mjs BASE_URL KEY MODEL
import OpenAI from 'openai';

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
const out = {};
const user = (content) => [{role: 'user', content}];
const tools = [{
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: {type: 'object', properties: {city: {type: 'string'}}, required: ['city']},
  },
}];

const plain = await client.chat.completions.create({model, messages: user('hello node')});
out.plain = plain.choices[0].message.content;

const {data, response} = await client.chat.completions
  .create({model, messages: user('hello headers')}).withResponse();
out.headers = {id: response.headers.get('x-relay-id'), cache: response.headers.get('x-relay-cache')};
out.total = data.usage.total_tokens;

let text = '';
let usage = null;
for await (const chunk of await client.chat.completions.create({
  model, messages: user('hello stream'), stream: true, stream_options: {include_usage: true},
})) {
  text += chunk.choices[0]?.delta?.content ?? '';
  if (chunk.usage) usage = chunk.usage;
}
out.streamed = text;
out.usage = usage;

const runner = client.chat.completions.stream({model, messages: user('get_weather please'), tools});
const final = await runner.finalChatCompletion();
out.tool = final.choices[0].message.tool_calls[0].function;
out.finish = final.choices[0].finish_reason;

const parsed = await client.chat.completions.parse({
  model,
  messages: user('fill the schema'),
  response_format: {
    type: 'json_schema',
    json_schema: {
      name: 'person',
      strict: true,
      schema: {
        type: 'object',
        properties: {name: {type: 'string'}, age: {type: 'integer'}},
        required: ['name', 'age'],
        additionalProperties: false,
      },
    },
  },
});
out.parsed = parsed.choices[0].message.parsed;

out.models = (await client.models.list()).data.map((m) => m.id);
out.model = (await client.models.retrieve(model)).id;

const failures = [
  ['bad key', () => new OpenAI({baseURL, apiKey: 'glw_bad', maxRetries: 0}).models.list()],
  ['no model', () => client.chat.completions.create({model: 'nobody/none', messages: user('x')})],
  ['no messages', () => client.chat.completions.create({model, messages: []})],
  ['upstream', () => client.chat.completions.create({model, messages: user('[[sim:status=500]]')})],
];
out.errors = {};
for (const [name, call] of failures) {
  try {
    await call();
    out.errors[name] = 'none';
  } catch (e) {
    out.errors[name] = [e.constructor.name, e.status, e.code];
  }
}
try {
  for await (const _ of await client.chat.completions.create({
    model, stream: true, messages: user('cut [[sim:events=10;reset_event=8;gap_ms=30]]'),
  }));
  out.errors.cut = 'none';
} catch (e) {
  out.errors.cut = e.constructor.name;
}

const controller = new AbortController();
try {
  const s = await client.chat.completions.create(
    {model, stream: true, messages: user('abort [[sim:tokens=500;gap_ms=20]]')},
    {signal: controller.signal});
  let n = 0;
  for await (const _ of s) if (++n === 4) controller.abort();
  out.aborted = n;
} catch (e) {
  out.aborted = e.constructor.name;
}
console.log(JSON.stringify(out));
