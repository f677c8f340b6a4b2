/* catalogue.mjs - made-up models, keys and providers. Prices are USD per million tokens, as in a price list. */
import { base62, randomFrom, uuid7 } from './random.mjs'

// id, input, output, cached, quality, context, max output, first token ms, tokens a second, share of traffic, capabilities
const MODELS = [
  ['groq/llama-3.1-8b-instant', '0.05', '0.08', '0.05', 20.1, 131072, 131072, 118, 720, 16, 'tools'],
  ['groq/openai/gpt-oss-20b', '0.075', '0.3', '0.0375', 38, 131072, 65536, 164, 910, 21, 'tools json reasoning'],
  ['groq/openai/gpt-oss-120b', '0.15', '0.6', '0.075', 48, 131072, 65536, 212, 480, 9, 'tools json reasoning'],
  ['groq/llama-3.3-70b-versatile', '0.59', '0.79', '0.59', 36.3, 131072, 32768, 231, 270, 5, 'tools'],
  ['gemini/gemini-2.5-flash-lite', '0.1', '0.4', '0.025', 34.5, 1048576, 65536, 342, 310, 14, 'tools json vision reasoning audio files'],
  ['gemini/gemini-2.5-flash', '0.3', '2.5', '0.075', 51.2, 1048576, 65536, 418, 240, 9, 'tools json vision reasoning audio files'],
  ['anthropic/claude-haiku-4-5', '1', '5', '0.1', 55, 200000, 64000, 512, 160, 5, 'tools json vision reasoning files'],
  ['anthropic/claude-sonnet-4-5', '3', '15', '0.3', 63.4, 200000, 64000, 894, 78, 3, 'tools json vision reasoning files'],
  ['openai/gpt-4o-mini', '0.15', '0.6', '0.075', 31, 128000, 16384, 468, 95, 8, 'tools json vision image_urls'],
  ['openai/gpt-5-mini', '0.25', '2', '0.025', 54, 400000, 128000, 1240, 88, 3, 'tools json vision image_urls reasoning'],
  ['ollama/qwen3:8b', '0', '0', '0', 29.8, 40960, 8192, 640, 34, 4, 'tools reasoning'],
  ['my-vllm/acme-support-v3', null, null, null, null, 32768, 8192, 205, 140, 2, 'tools json'],
]

export const models = MODELS.map((m) => ({
  id: m[0],
  provider: m[0].slice(0, m[0].indexOf('/')),
  model: m[0].slice(m[0].indexOf('/') + 1),
  input: m[1],
  output: m[2],
  cached: m[3],
  quality: m[4],
  context: m[5],
  maxOutput: m[6],
  ttft: m[7],
  speed: m[8],
  weight: m[9],
  capabilities: m[10].split(' '),
  health: m[0].startsWith('my-vllm') ? 'down' : m[0] === 'groq/llama-3.3-70b-versatile' ? 'resting' : 'up',
}))

export const providers = [
  ['groq', 'openai', 'up'], ['gemini', 'gemini', 'up'], ['anthropic', 'anthropic', 'up'], ['openai', 'openai', 'up'],
  ['ollama', 'ollama', 'up'], ['my-vllm', 'openai', 'down'],
].map(([name, kind, health]) => ({ name, kind, health, models: models.filter((m) => m.provider === name).length }))

// name, weight of its traffic, what is set
const KEYS = [
  ['support-bot', 30, { budget_usd: '40', budget_period: 'month', tags: { team: 'support', env: 'prod' } }],
  ['web-search', 22, { rpm: 1200, tags: { team: 'search', env: 'prod' } }],
  ['nightly-batch', 14, { rpm: 30, tpm: 500000, models: ['groq', 'ollama'] }],
  ['ide-plugin', 11, { budget_usd: '2.50', budget_period: 'day', models: ['auto'] }],
  ['mobile-app', 8, { rpm: 600, tpm: 400000, cache_group: 'apps', tags: { team: 'mobile', env: 'prod' } }],
  ['evals', 6, { rpm: 0, tpm: 0 }],
  ['<script>alert(1)</script>', 3, { tags: { '<b>': '"><img src=x onerror=alert(2)>' } }],
  ['Müller & Söhne · 東京', 2, { cache_group: 'apps' }],
  ['intern', 1, { budget_usd: '1', budget_period: 'total', models: ['openai/gpt-4o-mini'], expires: 12 }],
  ['a-very-long-name-of-a-key-that-somebody-generated-from-a-branch-feature/checkout-rewrite-with-tests', 1, {}],
  ['old-prototype', 0, { revoked: 9 }],
  ['conference-demo', 0, { expires: -20 }],
]

const DAY = 86400000

export function makeKeys(nowMs, extra) {
  const r = randomFrom(7)
  const keys = KEYS.map(([name, weight, o], i) => {
    const created = nowMs - (80 - i * 5) * DAY - r.int(DAY)
    return {
      weight,
      entry: {
        id: uuid7(created, r),
        tag: `glw_${base62(r, 4)}`,
        name,
        created_at: iso(created),
        expires_at: o.expires === undefined ? null : iso(nowMs + o.expires * DAY),
        revoked_at: o.revoked === undefined ? null : iso(nowMs - o.revoked * DAY),
        last_used_at: null,
        rpm: o.rpm ?? null,
        tpm: o.tpm ?? null,
        budget_usd: o.budget_usd ?? null,
        budget_period: o.budget_period ?? null,
        budget_spent_usd: '0',
        models: o.models ?? [],
        cache_group: o.cache_group ?? null,
        tags: o.tags ?? {},
      },
    }
  })
  for (let i = 0; i < extra; i++) {
    const created = nowMs - 90 * DAY - i * 1000
    keys.push({
      weight: 0,
      entry: {
        ...keys[0].entry, id: uuid7(created, r), tag: `glw_${base62(r, 4)}`, name: `tenant-${String(i).padStart(6, '0')}`,
        created_at: iso(created), budget_usd: null, budget_period: null, tags: {}, last_used_at: null,
      },
    })
  }
  return keys
}

export function iso(ms) {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
