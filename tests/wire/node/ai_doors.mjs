// Vercel's ai package through @ai-sdk/openai (its default, Responses) or @ai-sdk/anthropic. Prints one
// JSON object by model; the test checks it.
// node ai_doors.mjs openai|anthropic BASE_URL KEY WORD MODEL...
import {createAnthropic} from '@ai-sdk/anthropic';
import {createOpenAI} from '@ai-sdk/openai';
import {generateText, Output, stepCountIs, streamText, tool} from 'ai';
import {z} from 'zod';

const [kind, baseURL, apiKey, word, ...models] = process.argv.slice(2);
const provider = (kind === 'openai' ? createOpenAI : createAnthropic)({baseURL, apiKey});
// Relay keeps nothing: items go back whole, not as references. A schema goes as a schema, whatever the
// model is called: else it is a tool of which no two calls may be made, which not every provider can do.
const providerOptions = {openai: {store: false}, anthropic: {structuredOutputMode: 'outputFormat'}};
globalThis.AI_SDK_LOG_WARNINGS = false;
const tools = {
  get_weather: tool({
    description: 'The weather of a city',
    inputSchema: z.object({city: z.string()}),
    execute: async ({city}) => `sunny in ${city}`,
  }),
  get_time: tool({inputSchema: z.object({zone: z.string()}), execute: async () => ({hour: 7})}),
};
const person = z.object({name: z.string(), age: z.number().int()});

async function failure(call) {
  try {
    await call();
    return 'none';
  } catch (e) {
    return [e.name, e.statusCode ?? null];
  }
}

async function run(name) {
  const out = {};
  const ask = (prompt, more = {}) => ({
    model: provider(name), prompt: `${prompt} ${word}`, maxRetries: 0, providerOptions, ...more,
  });
  const loop = {tools, stopWhen: stepCountIs(3)};

  const plain = await generateText(ask('plain'));
  out.plain = plain.text;
  out.finish = plain.finishReason;
  out.usage = plain.usage;
  out.id = plain.response.headers['x-relay-id'];

  const stream = streamText(ask('streamed'));
  out.streamed = '';
  for await (const part of stream.textStream) out.streamed += part;
  out.streamUsage = await stream.usage;

  const steps = (list) => list.map((s) => [s.finishReason, s.toolResults.map((r) => r.output)]);
  out.steps = steps((await generateText(ask('get_weather get_time plain', loop))).steps);
  const streamed = streamText(ask('get_weather get_time streamed', loop));
  for await (const _ of streamed.fullStream);
  out.streamedSteps = steps(await streamed.steps);

  const output = Output.object({schema: person});
  out.object = (await generateText(ask('object', {output}))).output;
  const partial = streamText(ask('object streamed', {output}));
  for await (const _ of partial.textStream);
  out.streamedObject = await partial.output;

  out.errors = {
    provider: await failure(() => generateText(ask('[[sim:status=400]]'))),
    key: await failure(() => generateText(ask('key', {headers: {
      authorization: 'Bearer glw_bad', 'x-api-key': 'glw_bad'}}))),
  };
  out.broken = [];
  const broken = streamText(ask('cut [[sim:events=10;reset_event=8;gap_ms=30]]', {onError() {}}));
  try {
    for await (const part of broken.fullStream)
      if (part.type === 'error' || part.type === 'finish') out.broken.push(part.type);
  } catch (e) {
    out.broken.push('error'); // the closed connection
  }

  // The simulator's rule refuses the first one of these words.
  out.retried = (await generateText(ask(`retry-${name}`, {maxRetries: 2}))).text;

  const controller = new AbortController();
  const left = streamText(ask('abort [[sim:tokens=500;gap_ms=20]]', {
    abortSignal: controller.signal, onError() {},
  }));
  let deltas = 0;
  out.left = [];
  for await (const part of left.fullStream) {
    if (part.type === 'text-delta' && ++deltas === 4) controller.abort();
    if (part.type === 'abort' || part.type === 'finish') out.left.push(part.type);
  }
  return out;
}

const out = {};
for (const name of models) out[name] = await run(name);
console.log(JSON.stringify(out));
