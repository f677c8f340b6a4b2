/* traffic.ts - a gateway that has had some of everything: keys, providers, models, hits, refusals, fallbacks, over a month.
 * The same requests in the same order each time; how long they take is up to the machine. */
import { Clock, Gateway, type Sim, hasModel, startSim } from './gateway'

const MINUTE = 60
const HOUR = 3600
const DAY = 24 * HOUR

/** xorshift32: enough for which question comes next. */
function makeRandom(seed: number): () => number {
  let x = seed
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) / 2 ** 32
  }
}

export interface Plan {
  /** Seconds before the present, longest ago first, and how many requests then. */
  batches: [number, number][]
  /** How slow the providers are: their latencies times this. */
  slowness: number
}

/** Of a month, with a few hours, minutes and days in it; and of a day as it is on a busy gateway, for the picture. */
export const MONTH: Plan = {
  batches: [[26 * DAY, 20], [9 * DAY, 20], [3 * DAY, 20], [20 * HOUR, 20], [14 * HOUR, 20], [9 * HOUR, 40], [4 * HOUR, 40], [100 * MINUTE, 30], [25 * MINUTE, 30], [2 * MINUTE, 30]],
  slowness: 1,
}
export const BUSY_DAY: Plan = {
  batches: Array.from({ length: 24 }, (_, i) => [(23 - i) * HOUR + 20 * MINUTE, Math.round(14 + 110 * Math.exp(-(((i - 15) / 4.2) ** 2)))]),
  slowness: 5,
}

interface Maker {
  name: string
  path: string
  ttft: [number, number]
  models: string[]
}
const MAKERS: Maker[] = [
  { name: 'groq', path: '/v1', ttft: [24, 60], models: ['llama-3.3-70b-versatile', 'openai/gpt-oss-20b', 'openai/gpt-oss-120b'] },
  { name: 'gemini', path: '/v1beta', ttft: [50, 120], models: ['gemini-2.5-flash'] },
  { name: 'openai', path: '/v1', ttft: [60, 150], models: ['gpt-4o-mini', 'gpt-5-mini'] },
  { name: 'anthropic', path: '/v1', ttft: [80, 190], models: ['claude-haiku-4-5', 'claude-sonnet-4-5'] },
]

const QUESTIONS = [
  'How do I reset my password?', 'Summarise this thread in three bullet points', 'What is a binary search tree?', 'Write a haiku about the sea',
  'Explain the difference between TCP and UDP', 'Translate "good morning" into Portuguese', 'Which colours go with dark green?', 'How do I sort a list of tuples in Python?',
  'Draft a friendly reminder about an unpaid invoice', 'What should I pack for a week in the mountains?', 'Why is the sky blue?', 'Give me five names for a cat café',
]
/** Other words for the first question, which the semantic cache may serve. */
const ALIKE = ['How can I reset my password?', 'Please tell me how I can reset my password.', 'How do I reset my passwords?']

export const MARKUP = '<script>alert(1)</script>'
const CLIENTS = [
  { name: 'support-bot', budget_usd: '20', budget_period: 'month' }, { name: 'web-search' }, { name: 'nightly-batch', tags: { team: 'data' } },
  { name: MARKUP, budget_usd: '5', budget_period: 'day' }, { name: 'a-very-long-name-of-a-key-that-somebody-gave-it-and-that-has-to-be-cut-somewhere' },
  { name: 'Müller & Söhne · 東京' },
]

export interface World {
  gateway: Gateway
  sims: Map<string, Sim>
  /** Keys by name; the gateway's first one is `first`. */
  keys: Map<string, string>
  stop: () => Promise<void>
}

async function startSims(folder: string, slowness: number): Promise<Map<string, Sim>> {
  const sims = new Map<string, Sim>()
  for (const { name, ttft, models } of MAKERS) {
    const latency = `lognormal:${ttft[0] * slowness}:${ttft[1] * slowness}`
    sims.set(name, await startSim(folder, name, '--latency', latency, '--tokens', '120', '--tps', String(1200 / slowness), '--models', models.join(','), '--seed', '7'))
  }
  sims.set('my-vllm', await startSim(folder, 'my-vllm', '--latency', String(30 * slowness), '--tokens', '60'))
  sims.set('flaky', await startSim(folder, 'flaky', '--latency', '5', '--set', 'status=503'))
  return sims
}

function configOf(sims: Map<string, Sim>): object {
  const known = { input: 0.05, output: 0.05, quality: 40, context: 32000, max_output: 4096 }
  return {
    providers: {
      ...Object.fromEntries(MAKERS.map(({ name, path }) => [name, { base_url: sims.get(name)!.url + path, api_key: `sk-${name}-secret` }])),
      'my-vllm': { kind: 'openai', base_url: `${sims.get('my-vllm')!.url}/v1`, api_key: 'sk-vllm-secret' },
      flaky: { kind: 'openai', base_url: `${sims.get('flaky')!.url}/v1`, api_key: 'sk-flaky-secret' },
    },
    models: [
      { id: 'my-vllm/acme-support-v3', quality: 40, context: 32000, max_output: 4096 },
      { id: 'flaky/m', ...known, quality: 20 },
    ],
    aliases: { careful: ['flaky/m', 'groq/openai/gpt-oss-120b'], hopeless: ['flaky/m'] },
    targets: { min_quality: 35, max_latency_ms: 2000, baseline: 'openai/gpt-4o-mini' },
    routing: { explore: 0, unpriced: 'allow' },
    cache: { max_wait: '10s', audit: 0.5 },
    log: { level: 'warn', content: true },
  }
}

async function batch(world: World, random: () => number, from: number, count: number): Promise<void> {
  const { gateway, keys } = world
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!
  const names = ['first', 'support-bot', 'support-bot', 'support-bot', 'web-search', 'web-search', 'nightly-batch', MARKUP, ...CLIENTS.slice(4).map((c) => c.name)]
  // With the two of our own no more than the overview shows.
  const pinned = MAKERS.flatMap(({ name, models }) => models.map((m) => `${name}/${m}`))
  const one = (i: number) => {
    const key = keys.get(pick(names))!
    const stream = random() < 0.6
    const kind = random()
    const prompt = random() < 0.45 ? pick(QUESTIONS) : `${pick(QUESTIONS)} (case ${from + i})`
    const headers = { 'x-relay-tags': `team=${pick(['web', 'data', 'ops'])}` }
    if (kind < 0.02) return gateway.ask(key, 'no-such/model', prompt)
    if (kind < 0.04) return gateway.ask(key, 'hopeless', prompt)
    if (kind < 0.07) return gateway.ask(key, 'careful', prompt, { stream })
    if (kind < 0.11) return gateway.ask(key, 'my-vllm/acme-support-v3', prompt, { stream }, headers)
    return gateway.ask(key, kind < 0.45 ? pick(pinned) : 'auto', prompt, { stream, max_tokens: 50 + Math.floor(random() * 400) }, headers)
  }
  // A few at a time, as clients do.
  for (let i = 0; i < count; i += 16) await Promise.all(Array.from({ length: Math.min(16, count - i) }, (_, j) => one(i + j)))
}

/** What each test of hits needs: a question asked twice, and in other words. */
async function hits(world: World): Promise<number> {
  const { gateway, keys } = world
  const key = keys.get('support-bot')!
  let sent = 0
  for (const prompt of [QUESTIONS[0]!, QUESTIONS[0]!, ...(hasModel() ? ALIKE : [])]) {
    await gateway.ask(key, 'groq/llama-3.3-70b-versatile', prompt)
    sent++
  }
  return sent
}

/** Starts it all. Without `clock` (the machine is no Linux) all is of the present. */
export async function makeWorld(folder: string, plan: Plan): Promise<World> {
  const sims = await startSims(folder, plan.slowness)
  const gateway = new Gateway(`${folder}/gateway`, configOf(sims))
  const stop = async () => {
    await gateway.stop()
    for (const sim of sims.values()) await sim.stop()
  }
  const clock = process.platform === 'linux' ? new Clock(folder) : undefined
  clock?.set(-plan.batches[0]![0])
  await gateway.start(clock)
  const keys = new Map([['first', gateway.firstKey]])
  for (const draft of CLIENTS) keys.set(draft.name, (await gateway.admin<{ key: string }>('keys', 'POST', draft)).key)
  const world = { gateway, sims, keys, stop }
  const random = makeRandom(20261123)
  let sent = 0
  for (const [before, count] of plan.batches) {
    clock?.set(-before)
    await batch(world, random, sent, count)
    sent += count
    sent += await hits(world)
  }
  await gateway.hasRows(sent)
  // The rest happens by the machine's own clock.
  await gateway.stop()
  await gateway.start()
  return world
}
