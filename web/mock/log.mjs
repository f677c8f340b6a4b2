/* log.mjs - a made-up request log of 30 days, and sums over it. Money is an integer of 10^-12 USD, as in Relay. */
import { iso, makeKeys, models } from './catalogue.mjs'
import { randomFrom, uuid7 } from './random.mjs'

const HOUR = 3600000
const DAYS = 30

/** USD per million tokens as text, to 10^-12 USD per token. */
function perToken(price) {
  const [whole, part = ''] = price.split('.')
  return Number(whole + part.padEnd(6, '0').slice(0, 6))
}

export function usd(pusd) {
  if (pusd === null) return null
  const sign = pusd < 0 ? '-' : ''
  const text = String(Math.abs(pusd)).padStart(13, '0')
  const part = text.slice(-12).replace(/0+$/, '')
  return sign + text.slice(0, -12) + (part ? `.${part}` : '')
}

const price = new Map(models.map((m) => [m.id, m.input === null
  ? null : { input: perToken(m.input), output: perToken(m.output), cached: perToken(m.cached) }]))

function costOf(model, prompt, cached, completion) {
  const p = price.get(model.id)
  return p === null ? null : (prompt - cached) * p.input + cached * p.cached + completion * p.output
}

const ERRORS = [
  [429, 'rate_limit_requests', 40], [402, 'budget_exceeded', 16], [400, 'invalid_request', 18],
  [404, 'model_not_found', 6], [502, 'upstream_error', 10], [504, 'upstream_timeout', 6], [499, 'client_closed', 14],
]
const DOORS = ['/v1/chat/completions', '/v1/chat/completions', '/v1/chat/completions', '/v1/messages', '/v1/responses']

export function makeLog(nowMs, keys) {
  const r = randomFrom(42)
  const active = keys.filter((k) => k.weight > 0)
  const weights = active.map((k) => k.weight)
  const modelWeights = models.map((m) => m.weight)
  const recent = [] // ids that a hit may come from
  const answers = new Map()

  function row(at) {
    const key = active[r.weighted(weights)]
    const model = models[r.weighted(modelWeights)]
    const hour = new Date(at).getUTCHours()
    const slow = model.provider === 'openai' && hour >= 14 && hour < 17 ? 1.9 : 1
    const prompt = Math.round(r.spread(620, 0.9)) + 12
    const completion = Math.max(1, Math.round(r.spread(210, 0.8)))
    const cached = r.next() < 0.18 ? Math.floor(prompt * 0.6) : 0
    const stream = r.next() < 0.68
    const row = {
      ms: at, id: uuid7(at, r), at: iso(at), key, key_id: key.entry.id, key_tag: key.entry.tag, key_name: key.entry.name,
      endpoint: r.pick(DOORS), model_asked: 'auto', provider: model.provider, model: model.model, modelId: model.id, route: 'chosen',
      stream, status: 200, error_code: null, prompt_tokens: prompt, cached_tokens: cached, cache_write_tokens: 0,
      completion_tokens: completion, reasoning_tokens: model.capabilities.includes('reasoning') ? Math.floor(completion * 0.3) : 0,
      usage_source: 'provider', cost: costOf(model, prompt, cached, completion), cost_source: 'catalog', cache_saved: 0,
      routing_saved: 0, cache: 'miss', similarity: null, source_id: null, ttft_ms: null, latency_ms: 0,
      overhead_us: Math.round(r.spread(310, 0.4)), attempts: 1, finish_reason: r.next() < 0.93 ? 'stop' : 'length',
      max_latency_ms: r.next() < 0.6 ? 5000 : 800, min_quality: 30, target_met: true,
      user_tag: r.next() < 0.3 ? `user-${r.int(400)}` : null, tags: key.entry.tags,
    }
    const ttft = r.spread(model.ttft * slow, 0.35)
    row.ttft_ms = stream ? ttft : null
    row.latency_ms = ttft + (completion / model.speed) * 1000 * r.spread(1, 0.15)
    if (row.cost === null) row.cost_source = 'none'
    const asked = r.next()
    if (asked < 0.2) Object.assign(row, { route: 'pinned', model_asked: model.id, max_latency_ms: null, target_met: null })
    else if (asked < 0.3) row.model_asked = 'fast'
    if (row.route === 'chosen' && row.cost !== null) {
      row.routing_saved = costOf(models[5], prompt, cached, completion) - row.cost
      const luck = r.next()
      if (luck < 0.025) Object.assign(row, { route: 'fallback', attempts: 2, latency_ms: row.latency_ms + 900 })
      else if (luck < 0.04) Object.assign(row, { route: 'target-missed', target_met: false })
    }
    const kind = r.next()
    if (kind < 0.17 && recent.length > 50) hit(row, kind < 0.11 ? 'exact' : kind < 0.158 ? 'semantic' : 'shared')
    else if (kind > 0.86) row.cache = 'bypass'
    if (row.cache !== 'exact' && row.cache !== 'semantic' && r.next() < 0.021) fail(row)
    if (row.status === 200 && row.cache === 'miss') {
      recent.push(row.id)
      answers.set(row.id, row)
      if (recent.length > 400) answers.delete(recent.shift())
    }
    return row
  }

  function hit(row, kind) {
    const source = answers.get(r.pick(recent))
    const saved = row.cost ?? 0
    Object.assign(row, {
      cache: kind, route: 'cached', provider: source.provider, model: source.model, modelId: source.modelId,
      similarity: kind === 'semantic' ? 0.88 + r.next() * 0.11 : 1, source_id: source.id, cost: 0, cost_source: 'catalog',
      usage_source: 'cache', cache_saved: saved, routing_saved: 0, ttft_ms: row.stream ? r.spread(0.9, 0.5) : null,
      latency_ms: r.spread(1.6, 0.5), attempts: 0, key: source.key, key_id: source.key_id, key_tag: source.key_tag,
      key_name: source.key_name, tags: source.tags,
    })
    if (kind === 'shared') row.latency_ms = r.spread(700, 0.4)
  }

  function fail(row) {
    const [status, code] = ERRORS[r.weighted(ERRORS.map((e) => e[2]))]
    const ours = status < 499
    Object.assign(row, {
      status, error_code: code, finish_reason: null, cost: 0, routing_saved: 0, completion_tokens: 0, reasoning_tokens: 0, ttft_ms: null,
      usage_source: 'none', cost_source: 'none', target_met: null, cached_tokens: 0, cache: status === 404 || status === 402 || status === 429 ? 'bypass' : 'miss',
      latency_ms: ours ? r.spread(0.4, 0.4) : r.spread(4000, 0.5), attempts: ours ? 0 : status === 499 ? 1 : 3,
    })
    if (ours) Object.assign(row, { provider: null, model: null, modelId: null, route: null })
    if (status === 499) Object.assign(row, { cost: 4200000, cost_source: 'estimated', usage_source: 'estimated' })
  }

  const rows = []
  const first = nowMs - DAYS * 24 * HOUR
  let at = first
  for (;;) {
    const d = new Date(at)
    const day = 0.25 + Math.max(0, Math.sin(((d.getUTCHours() + d.getUTCMinutes() / 60 - 5) / 24) * 2 * Math.PI)) * 1.5
    const week = d.getUTCDay() === 0 || d.getUTCDay() === 6 ? 0.45 : 1
    const growth = 0.55 + 0.6 * ((at - first) / (nowMs - first))
    at += (-Math.log(1 - r.next()) * 44000) / (day * week * growth)
    if (at >= nowMs) break
    rows.push(row(at))
  }
  for (const x of rows) if (x.ms > (x.key.last ?? 0)) x.key.last = x.ms
  for (const k of keys) if (k.last !== undefined) k.entry.last_used_at = iso(k.last)
  spend(rows, keys, nowMs)
  return { rows, next: () => row(Date.now() - 40) }
}

function spend(rows, keys, nowMs) {
  const now = iso(nowMs)
  for (const k of keys) {
    if (k.entry.budget_period === null) continue
    const from = { day: now.slice(0, 10), month: now.slice(0, 7), total: '' }[k.entry.budget_period]
    k.entry.budget_spent_usd = usd(rows.filter((x) => x.key === k && x.at >= from).reduce((n, x) => n + (x.cost ?? 0), 0))
  }
}

export function publicRow(x) {
  const { ms, key, modelId, cost, cache_saved, routing_saved, ...rest } = x
  return { ...rest, cost_usd: usd(cost), cache_saved_usd: usd(cache_saved), routing_saved_usd: usd(routing_saved) }
}

const quantile = (sorted, q) => (sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)])
const spreadOf = (values) => {
  const sorted = Float64Array.from(values).sort()
  return { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95) }
}

function sums(rows) {
  const s = { requests: rows.length, errors: 0, cache_hits: 0, prompt_tokens: 0, completion_tokens: 0, cost_unknown: 0 }
  let cost = 0, cacheSaved = 0, routingSaved = 0
  const ttft = [], latency = []
  for (const x of rows) {
    if (x.status >= 400) s.errors++
    if (x.route === 'cached') s.cache_hits++
    s.prompt_tokens += x.prompt_tokens
    s.completion_tokens += x.completion_tokens
    if (x.cost === null) s.cost_unknown++
    cost += x.cost ?? 0
    cacheSaved += x.cache_saved
    routingSaved += x.routing_saved
    if (x.ttft_ms !== null) ttft.push(x.ttft_ms)
    if (x.status < 400) latency.push(x.latency_ms)
  }
  return {
    ...s, cost_usd: usd(cost), cache_saved_usd: usd(cacheSaved), routing_saved_usd: usd(routingSaved),
    ttft_ms: spreadOf(ttft), latency_ms: spreadOf(latency), cost,
  }
}

const GROUPS = {
  minute: (x) => `${x.at.slice(0, 16)}:00Z`,
  hour: (x) => `${x.at.slice(0, 13)}:00:00Z`,
  day: (x) => x.at.slice(0, 10),
  provider: (x) => x.provider,
  model: (x) => x.modelId,
  key: (x) => x.key_id,
  tag: (x) => Object.entries(x.tags).map(([k, v]) => `${k}=${v}`)[0] ?? null,
}

export function usage(rows, by, from, to, limit) {
  const groups = new Map()
  for (const x of rows) {
    const name = GROUPS[by](x)
    const list = groups.get(name)
    if (list === undefined) groups.set(name, [x])
    else list.push(x)
  }
  let made = [...groups].map(([name, list]) => {
    const label = by === 'key' ? { key_tag: list[0].key_tag, name: list[0].key_name } : {}
    return { [by]: name, ...label, ...sums(list) }
  })
  const timed = by === 'minute' || by === 'hour' || by === 'day'
  made.sort((a, b) => (timed ? (a[by] < b[by] ? -1 : 1) : b.cost - a.cost || b.requests - a.requests))
  const count = made.length
  if (!timed) made = made.slice(0, limit)
  const total = sums(rows)
  for (const x of [...made, total]) delete x.cost
  return { by, from, to, rows: made, count, total }
}

export { makeKeys }
