/* world.mjs - what one scenario of the mock knows, and its answers. The scenario is chosen by the key signed in with. */
import { iso, models, providers } from './catalogue.mjs'
import { makeKeys, makeLog, publicRow, usage, usd } from './log.mjs'
import { base62, randomFrom, uuid7 } from './random.mjs'

export class Refusal extends Error {
  constructor(status, code, message, param = null, headers = {}) {
    super(message)
    Object.assign(this, { status, code, param, headers })
  }
}

export const SCENARIOS = {
  gla_mock_admin_key: 'usual',
  gla_mock_empty_log: 'empty',
  gla_mock_one_row: 'one',
  gla_mock_store_away: 'away',
  gla_mock_many_keys: 'many',
  gla_mock_broken: 'broken',
}

const STEPS_QUICK = { authenticate: 9, receive: 64, limit: 4, route: 31, recall: 12, resemble: 0 }

export function makeWorld(name, nowMs) {
  const keys = makeKeys(nowMs, name === 'many' ? 5000 : 0)
  const log = makeLog(nowMs, keys)
  if (name === 'empty') log.rows.length = 0
  if (name === 'one') log.rows.splice(0, log.rows.length - 1)
  if (name === 'empty') keys.splice(1)
  if (name === 'empty') Object.assign(keys[0].entry, { last_used_at: null, budget_spent_usd: '0' })
  const r = randomFrom(99)
  const world = { name, keys, log, cached: name === 'empty' ? 0 : 18422, loaded: iso(nowMs - 5 * 3600000) }
  const check = () => {
    if (name === 'away') throw new Refusal(503, 'store_away', 'The store does not answer; requests are still served and kept in the journal.', null, { 'retry-after': '5' })
    if (name === 'broken') throw new Refusal(500, 'internal', 'The query could not be read: disk I/O error.')
  }

  const matches = (q) => {
    const status = q.get('status')
    const kind = q.get('cache')
    const provider = q.get('provider')
    const model = q.get('model')
    const key = q.get('key')
    return (x) =>
      (!key || x.key_id === key) && (!provider || x.provider === provider) && (!model || x.modelId === model) &&
      (!kind || (kind === 'hit' ? x.route === 'cached' : x.cache === kind)) &&
      (!status || (status === 'error' ? x.status >= 400 : /^\dxx$/.test(status)
        ? String(x.status)[0] === status[0] : x.status === Number(status)))
  }
  const between = (q) => {
    const to = q.get('to') ?? iso(Date.now())
    const from = q.get('from') ?? iso(Date.parse(to) - 86400000)
    if (Number.isNaN(Date.parse(from)) || Number.isNaN(Date.parse(to))) throw new Refusal(400, 'invalid_request', 'from and to must be UTC times.', 'from')
    return [from, to]
  }

  world.matches = matches
  world.usage = (q) => {
    check()
    const [from, to] = between(q)
    const by = q.get('by') ?? 'hour'
    const a = Date.parse(from), b = Date.parse(to)
    const fits = matches(q)
    return usage(log.rows.filter((x) => x.ms >= a && x.ms < b && fits(x)), by, from, to, Number(q.get('limit') ?? 100))
  }
  world.requests = (q) => {
    check()
    const limit = Math.min(200, Number(q.get('limit') ?? 50))
    const fits = matches(q)
    const [from, to] = q.has('from') || q.has('to') ? between(q) : ['', '9']
    const rows = []
    let i = log.rows.length - 1
    if (q.get('before')) i = log.rows.findIndex((x) => x.id === q.get('before')) - 1
    let looked = 0
    for (; i >= 0 && rows.length < limit && looked < 20000; i--, looked++) {
      const x = log.rows[i]
      if (x.at < from) { i = -1; break }
      if (x.at < to && fits(x)) rows.push(publicRow(x))
    }
    return { rows, next: i >= 0 ? log.rows[i + 1].id : null, searched_to: i >= 0 ? log.rows[i + 1].at : null }
  }
  world.request = (id) => {
    check()
    const x = log.rows.find((row) => row.id === id)
    if (x === undefined) throw new Refusal(404, 'not_found', 'There is no request with this id.')
    return { request: publicRow(x), attempts: attemptsOf(x), decision: decisionOf(x), timeline: timelineOf(x), content: null }
  }
  world.keyPage = (q) => {
    check()
    const limit = Math.min(200, Number(q.get('limit') ?? 50))
    const text = (q.get('q') ?? '').toLowerCase()
    const state = q.get('state')
    const now = iso(Date.now())
    const all = keys.map((k) => k.entry).filter((k) => {
      const is = k.revoked_at !== null ? 'revoked' : k.expires_at !== null && k.expires_at < now ? 'expired' : 'active'
      return (!q.get('id') || k.id === q.get('id')) && (!state || state === is) &&
        (k.name.toLowerCase().includes(text) || k.tag.toLowerCase().includes(text))
    }).sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
    const start = q.get('after') ? all.findIndex((k) => k.id === q.get('after')) + 1 : 0
    const page = all.slice(start, start + limit)
    return { keys: page, next: start + limit < all.length ? page.at(-1).id : null, defaults: { rpm: 600, tpm: 200000 } }
  }
  const entryOf = (id) => {
    const k = keys.find((key) => key.entry.id === id)
    if (k === undefined) throw new Refusal(404, 'not_found', 'There is no key with this id.')
    return k.entry
  }
  const apply = (entry, draft) => {
    if (draft.name !== undefined && draft.name.trim() === '') throw new Refusal(400, 'invalid_request', 'name must not be empty.', 'name')
    if ((draft.budget_usd ?? null) !== null && !/^\d{1,9}(\.\d{1,12})?$/.test(draft.budget_usd))
      throw new Refusal(400, 'invalid_request', 'budget_usd must be an amount such as "2.50".', 'budget_usd')
    return Object.assign(entry, draft)
  }
  world.createKey = (draft) => {
    check()
    const tag = `glw_${base62(r, 4)}`
    const entry = apply({
      id: uuid7(Date.now(), r), tag, name: '', created_at: iso(Date.now()), expires_at: null, revoked_at: null, last_used_at: null, rpm: null,
      tpm: null, budget_usd: null, budget_period: null, budget_spent_usd: '0', models: [], cache_group: null, tags: {},
    }, draft)
    keys.push({ weight: 0, entry })
    return { ...entry, key: tag + base62(r, 36) }
  }
  world.changeKey = (id, draft) => apply(entryOf(id), draft)
  world.revokeKey = (id) => Object.assign(entryOf(id), { revoked_at: iso(Date.now()) })
  world.models = () => {
    check()
    const since = nowMs - 86400000
    const recent = new Map(usage(log.rows.filter((x) => x.ms > since && x.route !== 'cached'), 'model', '', '', 999).rows.map((u) => [u.model, u]))
    return {
      date: '2026-11-22',
      models: models.map((m) => ({
        id: m.id, provider: m.provider, model: m.model,
        prices_usd_per_million: { input: m.input, output: m.output, cached_input: m.cached, cache_write: m.input },
        quality: m.quality, quality_estimated: m.provider === 'ollama', context: m.context, max_output: m.maxOutput, capabilities: m.capabilities,
        requests: recent.get(m.id)?.requests ?? 0, ttft_ms: recent.get(m.id)?.ttft_ms ?? { p50: null, p95: null },
        latency_ms: recent.get(m.id)?.latency_ms ?? { p50: null, p95: null },
        health: m.health, health_until: m.health === 'resting' ? iso(Date.now() + 21000) : null,
      })),
      providers: providers.map((p) => ({ ...p, health_until: p.health === 'down' ? iso(Date.now() + 34000) : null })),
    }
  }
  world.route = (ask) => routeOf(ask)
  world.cache = () => {
    check()
    const hits = { exact: 0, semantic: 0, shared: 0, miss: 0, bypass: 0 }
    for (const x of log.rows.slice(-9000)) hits[x.cache]++
    const some = name !== 'empty' && name !== 'one'
    return {
      exact: true, semantic: true, trouble: null, answers: world.cached, similar: Math.floor(world.cached * 0.61), bytes: world.cached * 4210,
      max_entries: 100000, max_bytes: 268435456, oldest: some ? iso(nowMs - 86000000) : null, newest: some ? iso(nowMs - 9000) : null,
      ttl_s: 86400, threshold: 0.75, max_error: 0.01, level: 0.914, results: hits,
      vetoes: some ? { number: 312, negation: 94, entity: 71, time: 66, score: 489, antonym: 12, language: 8 } : {},
      audits: some
        ? { rate: 0.05, judged: 412, different: 3, share: 3 / 412, low: 0.00248, high: 0.0212, same: 409, undecided: 37, failed: 2 }
        : { rate: 0, judged: 0, different: 0, share: null, low: null, high: null, same: 0, undecided: 0, failed: 0 },
    }
  }
  world.purge = (count) => {
    const purged = Math.min(world.cached, count)
    world.cached -= purged
    return { purged }
  }
  world.config = () => ({
    yaml: YAML, file: 'relay.yaml', loaded_at: world.loaded,
    warnings: ['providers.mistral is off: MISTRAL_API_KEY is not set.'],
    status: {
      version: '0.7.0', started_at: iso(nowMs - 3 * 86400000 - 7000000), store: 'sqlite:data/relay.db',
      store_state: name === 'away' ? 'away' : 'reachable', shared: 'memory', shared_state: 'memory',
      journal_bytes: name === 'away' ? 8823120 : 4096, gateways: 1, client_url: 'http://127.0.0.1:8080',
    },
  })
  world.reload = () => {
    if (name === 'many') throw new Refusal(422, 'invalid_config', 'relay.yaml:14:9: limits.rpm: must be a whole number from 0 to 100000000, not "lots".')
    world.loaded = iso(Date.now())
    return { loaded_at: world.loaded, warnings: world.config().warnings }
  }
  return world
}

function timelineOf(x) {
  const t = { ...STEPS_QUICK }
  if (x.status === 429 || x.status === 402) return { authenticate: 9, receive: 71, limit: 5, account: 44, reply: 12 }
  if (x.status === 400) return { authenticate: 9, receive: 88, account: 41, reply: 12 }
  if (x.status === 404) return { authenticate: 9, receive: 88, limit: 4, route: 11, account: 41, reply: 12 }
  if (x.cache === 'semantic' || x.cache === 'miss') t.resemble = 1180
  if (x.cache === 'shared') t.recall = Math.round(x.latency_ms * 1000) - 200
  if (x.route === 'cached') return { ...t, account: 52, reply: 29 }
  const total = Math.round(x.latency_ms * 1000)
  t.call = Math.round((x.ttft_ms ?? x.latency_ms * 0.9) * 1000)
  return { ...t, stream: Math.max(0, total - t.call - 1300), account: 58, reply: 23 }
}

function attemptsOf(x) {
  if (x.attempts < 2 && x.status < 400) return []
  const others = models.filter((m) => m.id !== x.modelId)
  return Array.from({ length: x.attempts }, (_, i) => {
    const last = i === x.attempts - 1
    const m = others[i]
    const ok = last && x.status < 400
    return {
      n: i + 1, provider: last ? x.provider : m.provider, model: last ? x.model : m.model, status: ok ? 200 : i === 0 ? 503 : null,
      error_code: ok ? null : i === 0 ? 'upstream_error' : 'upstream_timeout', started_at: iso(x.ms + i * 450), ttft_ms: ok ? x.ttft_ms : null,
      latency_ms: ok ? x.latency_ms - 900 : 412.5, prompt_tokens: ok ? x.prompt_tokens : null,
      completion_tokens: ok ? x.completion_tokens : null, cost_usd: ok ? usd(x.cost) : i === 0 ? '0' : null, usage_source: ok ? 'provider' : 'none',
    }
  })
}

function decisionOf(x) {
  if (x.provider === null) return null
  const bars = { min_quality: x.min_quality, confidence: 0.9 }
  if (x.max_latency_ms !== null) bars.max_latency_ms = x.max_latency_ms
  const chosen = { model: x.modelId, cost_usd: x.cost === null ? null : usd(x.cost || 91000000), chance: 0.987 }
  const dearer = (i) => usd(Math.round((x.cost || 91000000) * (1.31 + i * 0.74)))
  if (x.route === 'pinned') return { bars, chosen }
  if (x.route === 'target-missed') chosen.missed = 'latency'
  const others = models.filter((m) => m.id !== x.modelId && m.input !== null && m.quality >= 30).slice(0, 4).map((m, i) => ({
    model: m.id, cost_usd: dearer(i), chance: Math.round((0.998 - i * 0.041) * 1000) / 1000, ...(i === 3 ? { missed: 'latency' } : {}),
  }))
  const d = { bars, chosen, refused: { quality: 3, unpriced: 1, ...(x.max_latency_ms === 800 ? { latency: 4 } : {}) }, others }
  if (x.cache === 'semantic') d.cache = { nearest: x.similarity, score: 0.962 }
  else if (x.cache === 'miss' && x.ms % 3 === 0) d.cache = { nearest: 0.871, refused: 'number', score: 0.31 }
  return d
}

function routeOf(ask) {
  if (ask.model && ask.model !== 'auto' && ask.model !== 'fast' && !models.some((m) => m.id === ask.model))
    throw new Refusal(404, 'model_not_found', `There is no model "${ask.model}"; nearest: groq/llama-3.1-8b-instant, gemini/gemini-2.5-flash.`, 'model')
  const tokens = ask.prompt_tokens ?? Math.ceil((ask.prompt ?? '').length / 4) + 4
  const minQuality = ask.min_quality ?? 30
  const refused = {}
  const refuse = (why) => { refused[why] = (refused[why] ?? 0) + 1 }
  const list = []
  for (const m of models) {
    if (ask.model?.includes('/') && m.id !== ask.model) { refuse('only'); continue }
    if (m.health === 'down') { refuse('unhealthy'); continue }
    if (m.input === null) { refuse('unpriced'); continue }
    const price = (text) => Math.round(Number(text) * 1e6)
    const cost = tokens * price(m.input) + 310 * price(m.output)
    const limit = ask.max_latency_ms ?? 5000
    const chance = 1 / (1 + Math.exp(-(Math.log(limit) - Math.log(m.ttft * (ask.stream === false ? 5 : 1.6))) * 4))
    const missed = m.quality < minQuality ? 'quality' : chance < 0.9 ? 'latency' : null
    if (missed) refuse(missed)
    list.push({ model: m.id, provider: m.provider, expected_cost_usd: usd(cost), expected_completion_tokens: 310, chance, quality: m.quality, missed, cost })
  }
  list.sort((a, b) => (a.missed ? 1 : 0) - (b.missed ? 1 : 0) || a.cost - b.cost)
  for (const c of list) delete c.cost
  return {
    model: ask.model ?? 'auto', stream: ask.stream ?? true, prompt_tokens: tokens, max_latency_ms: ask.max_latency_ms ?? 5000,
    min_quality: minQuality, confidence: 0.9, target_missed: list.length > 0 && list[0].missed !== null,
    baseline: list.filter((c) => !c.missed).at(-1)?.model ?? null, measured: 8123, candidates: list, refused,
  }
}

const YAML = `server:
  listen: 127.0.0.1:8080
  workers: auto
  max_body: 32MiB
  max_connections: 10000
admin:
  key: (set)
  listen: ""
store: sqlite:data/relay.db
shared: memory
journal:
  dir: data/journal
  sync: 1s
  max_bytes: 1GiB
  when_full: refuse
targets:
  max_latency_ms: 5000
  min_quality: 30.0
  baseline: gemini/gemini-2.5-flash
routing:
  max_attempts: 3
  explore: 0.01
  confidence: 0.9
  unpriced: allow
cache:
  exact: true
  semantic: true
  threshold: 0.75
  max_error: 0.01
  audit: 0.05
  audit_usd_per_day: 1
  ttl: 1d
limits:
  rpm: 600
  tpm: 200000
log:
  level: info
  retention: 90d
  content: false
providers:
  groq:
    kind: openai
    base_url: https://api.groq.com/openai/v1
    api_key: (set)
  mistral: # off: MISTRAL_API_KEY is not set
    kind: openai
    base_url: https://api.mistral.ai/v1
aliases:
  fast:
    - groq/llama-3.1-8b-instant
    - gemini/gemini-2.5-flash-lite
`
