// Vercel's ai package through createOpenAICompatible. Prints one JSON object; the test checks it.
// node ai.mjs BASE_URL KEY MODEL
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {generateText, Output, stepCountIs, streamText, tool} from 'ai';
import {z} from 'zod';

const [baseURL, apiKey, name] = process.argv.slice(2);
const relay = createOpenAICompatible({
  name: 'relay', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true,
});
const model = relay(name);
const out = {};

const plain = await generateText({model, prompt: 'hello ai', maxRetries: 0});
out.plain = plain.text;
out.usage = plain.usage;

const stream = streamText({model, prompt: 'hello ai stream', maxRetries: 0});
out.streamed = '';
for await (const part of stream.textStream) out.streamed += part;
out.streamUsage = await stream.usage;
out.finish = await stream.finishReason;

const tools = {
  get_weather: tool({
    description: 'The weather of a city',
    inputSchema: z.object({city: z.string()}),
    execute: async () => 'sunny',
  }),
};
const loop = await generateText({
  model, prompt: 'get_weather now', tools, stopWhen: stepCountIs(3), maxRetries: 0,
});
out.steps = loop.steps.map((s) => s.finishReason);
out.toolResult = loop.steps[0].toolResults[0].output;
out.loopText = loop.text;

const streamed = streamText({
  model, prompt: 'get_weather streamed', tools, stopWhen: stepCountIs(3), maxRetries: 0,
});
for await (const _ of streamed.fullStream);
out.streamedSteps = (await streamed.steps).map((s) => s.finishReason);

const object = await generateText({
  model, prompt: 'fill the schema', maxRetries: 0,
  output: Output.object({schema: z.object({name: z.string(), age: z.number().int()})}),
});
out.object = object.output;

const reasoning = streamText({
  model, prompt: 'think [[sim:flavour=deepseek;reasoning=step by step]]', maxRetries: 0,
});
out.reasoning = '';
for await (const part of reasoning.fullStream)
  if (part.type === 'reasoning-delta') out.reasoning += part.text;

const broken = streamText({
  model, prompt: 'cut [[sim:events=10;reset_event=8;gap_ms=30]]', maxRetries: 0, onError() {},
});
out.broken = [];
try {
  for await (const part of broken.fullStream)
    if (part.type === 'error' || part.type === 'finish') out.broken.push(part.type);
} catch (e) {
  out.broken.push('error'); // the closed connection
}

try {
  await generateText({model, prompt: '[[sim:status=400;error_message=no such knob]]', maxRetries: 0});
} catch (e) {
  out.error = [e.name, e.statusCode, e.message];
}
console.log(JSON.stringify(out));
