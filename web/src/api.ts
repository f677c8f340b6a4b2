/* api.ts - every JSON shape of the admin API that the pages read or send, and nothing else.
 *
 * Conventions, which hold everywhere below:
 * - Usd is an exact decimal as text ("0.000123", "-1.5"); null is "unknown", which is never shown as $0.
 * - Time is UTC text, `2026-11-23T04:53:00.123456Z`.
 * - A list that can be long has `next`: a text to hand back as `before` (requests) or `after` (keys), null at its end.
 * - An error is `{"error":{"message","type","param","code"}}`; its message is one sentence that a person can read. */

export type Usd = string
export type Time = string
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface ApiErrorBody {
  error: { message: string; type: string | null; param: string | null; code: string | null }
}

/** POST, GET /admin/v1/session. `csrf` goes back as header x-relay-csrf with every change. */
export interface Session {
  csrf: string
  expires_at: Time
  version: string
}
export type SignIn = { key: string } | { token: string }

export interface Spread {
  p50: number | null
  p95: number | null
}

/** Sums over rows of the log. `cost_usd` is the sum of the known costs, `cost_unknown` how many rows have none. */
export interface Sums {
  requests: number
  errors: number
  cache_hits: number
  prompt_tokens: number
  completion_tokens: number
  cost_usd: Usd
  cost_unknown: number
  cache_saved_usd: Usd
  routing_saved_usd: Usd
  ttft_ms: Spread
  latency_ms: Spread
}

export type UsageBy = 'minute' | 'hour' | 'day' | 'provider' | 'model' | 'key' | 'tag'

/** One of the group's names is there, by what `by` said. */
export interface UsageRow extends Sums {
  minute?: Time
  hour?: Time
  day?: string
  provider?: string | null
  model?: string | null
  key?: string | null
  tag?: string | null
  /** by=key: `glw_7Qk2` and the name. */
  key_tag?: string | null
  name?: string | null
}

/** GET usage?from&to&by&key&model&provider&limit */
export interface Usage {
  by: UsageBy
  from: Time
  to: Time
  rows: UsageRow[]
  /** How many groups there are in all, also where `limit` cut the rows. */
  count: number
  total: Sums
}

export type CacheKind = 'exact' | 'semantic' | 'shared' | 'miss' | 'bypass'
export type RouteKind = 'chosen' | 'pinned' | 'fallback' | 'target-missed' | 'cached'

/** A row of the request log. */
export interface RequestRow {
  id: string
  at: Time
  key_id: string | null
  key_tag: string | null
  key_name: string | null
  endpoint: string
  model_asked: string | null
  provider: string | null
  model: string | null
  route: RouteKind | null
  stream: boolean
  status: number
  error_code: string | null
  prompt_tokens: number | null
  cached_tokens: number | null
  cache_write_tokens: number | null
  completion_tokens: number | null
  reasoning_tokens: number | null
  usage_source: 'provider' | 'estimated' | 'cache' | 'none'
  cost_usd: Usd | null
  cost_source: 'catalog' | 'provider' | 'estimated' | 'none'
  cache_saved_usd: Usd | null
  routing_saved_usd: Usd | null
  cache: CacheKind
  similarity: number | null
  source_id: string | null
  ttft_ms: number | null
  latency_ms: number | null
  overhead_us: number | null
  attempts: number
  finish_reason: string | null
  max_latency_ms: number | null
  min_quality: number | null
  target_met: boolean | null
  user_tag: string | null
  tags: { [name: string]: Json } | null
}

/** GET requests?limit&before&from&to&key&model&provider&status&cache */
export interface RequestPage {
  rows: RequestRow[]
  next: string | null
  /** How far back the search has looked; with `next` there may be more before that. */
  searched_to: Time | null
}

export interface Attempt {
  n: number
  provider: string
  model: string
  status: number | null
  error_code: string | null
  started_at: Time
  ttft_ms: number | null
  latency_ms: number | null
  prompt_tokens: number | null
  completion_tokens: number | null
  cost_usd: Usd | null
  usage_source: 'provider' | 'estimated' | 'cache' | 'none'
}

export interface DecisionCandidate {
  model: string
  cost_usd: Usd | null
  chance: number
  missed?: string
  unhealthy?: boolean
}

/** What the log keeps of a decision. Each part is there only where it fitted or applies. */
export interface Decision {
  bars?: { max_latency_ms?: number; min_quality: number; confidence: number }
  chosen?: DecisionCandidate
  explored?: boolean
  target_missed?: boolean
  refused?: { [reason: string]: number }
  others?: DecisionCandidate[]
  cache?: { nearest?: number; refused?: string; score?: number }
  audit?: { of: string; score?: number; result: string }
}

export const STEPS = [
  'authenticate', 'receive', 'limit', 'route', 'recall', 'resemble', 'call', 'stream', 'account', 'reply',
] as const
export type Step = (typeof STEPS)[number]
/** Microseconds spent in each row of the path, waiting included; what was not entered is missing. */
export type Timeline = { [step in Step]?: number }

/** GET requests/{id} */
export interface RequestDetail {
  request: RequestRow
  attempts: Attempt[]
  decision: Decision | null
  /** null: the times of the steps were not kept. */
  timeline: Timeline | null
  /** null: log.content is off, or the content has been deleted. */
  content: { request: string; answer: string | null } | null
}

export type BudgetPeriod = 'day' | 'month' | 'total'

export interface Key {
  id: string
  tag: string
  name: string
  created_at: Time
  expires_at: Time | null
  revoked_at: Time | null
  last_used_at: Time | null
  /** null: the configuration's; 0: none. */
  rpm: number | null
  tpm: number | null
  budget_usd: Usd | null
  budget_period: BudgetPeriod | null
  /** In the running period. */
  budget_spent_usd: Usd
  models: string[]
  cache_group: string | null
  tags: { [name: string]: string }
}

/** GET keys?limit&after&q&state */
export interface KeyPage {
  keys: Key[]
  next: string | null
  /** What `rpm` and `tpm` of null mean. */
  defaults: { rpm: number; tpm: number }
}

/** POST keys, PATCH keys/{id}: what is missing stays, null goes back to none (rpm, tpm: to the default). */
export interface KeyDraft {
  name?: string
  rpm?: number | null
  tpm?: number | null
  budget_usd?: Usd | null
  budget_period?: BudgetPeriod | null
  models?: string[]
  cache_group?: string | null
  tags?: { [name: string]: string }
  expires_at?: Time | null
}

/** The answer to POST keys: the only one that ever has the key itself. */
export interface NewKey extends Key {
  key: string
}

export type HealthState = 'up' | 'down' | 'resting' | 'out' | 'unknown'

export interface Model {
  id: string
  provider: string
  model: string
  prices_usd_per_million: {
    input: Usd | null
    output: Usd | null
    cached_input: Usd | null
    cache_write: Usd | null
  }
  quality: number | null
  quality_estimated: boolean
  context: number | null
  max_output: number | null
  capabilities: string[]
  /** Of the last 24 hours. */
  requests: number
  ttft_ms: Spread
  latency_ms: Spread
  /** down: its provider is; out: the model alone; resting: every key of its provider waits. */
  health: HealthState
  health_until: Time | null
}

export interface Provider {
  name: string
  kind: string
  health: HealthState
  health_until: Time | null
  models: number
}

/** GET models */
export interface Catalogue {
  /** When the catalogue's facts were gathered. */
  date: string
  models: Model[]
  providers: Provider[]
}

/** POST route. Either a prompt, or how many tokens it has; what is missing is the configuration's. */
export interface RouteAsk {
  prompt?: string
  prompt_tokens?: number
  model?: string
  stream?: boolean
  max_latency_ms?: number
  min_quality?: number
  max_cost_usd?: Usd
  /** A key's id: its allow-list counts. */
  key?: string
}

export interface RouteCandidate {
  model: string
  provider: string
  expected_cost_usd: Usd | null
  expected_completion_tokens: number
  chance: number
  quality: number | null
  missed: string | null
}

export interface RouteAnswer {
  model: string
  stream: boolean
  prompt_tokens: number
  max_latency_ms: number | null
  min_quality: number
  confidence: number
  target_missed: boolean
  baseline: string | null
  measured: number
  candidates: RouteCandidate[]
  refused: { [reason: string]: number }
}

/** GET cache */
export interface CacheState {
  exact: boolean
  semantic: boolean
  /** Why semantic caching rests although it is on, in one sentence. */
  trouble: string | null
  answers: number
  similar: number
  bytes: number
  max_entries: number
  max_bytes: number
  oldest: Time | null
  newest: Time | null
  ttl_s: number
  threshold: number
  max_error: number
  /** Least score at which a semantic hit is served; null without the encoder. */
  level: number | null
  /** Since the gateway started. */
  results: { [kind in CacheKind]: number }
  vetoes: { [rule: string]: number }
  audits: {
    /** Share of the semantic hits that is audited. */
    rate: number
    /** The last judged ones, at most 1,000; low and high are of the 95 % interval of the share that differs. */
    judged: number
    different: number
    share: number | null
    low: number | null
    high: number | null
    /** Since the gateway started. */
    same: number
    undecided: number
    failed: number
  }
}

/** DELETE cache/entries/{id}, DELETE cache?scope=all | key:ID | group:NAME, DELETE cache?tag=NAME=VALUE */
export interface Purged {
  purged: number
}

/** GET config */
export interface Config {
  /** As `relay check --print` has it, without secrets. */
  yaml: string
  /** null: no file, defaults and variables only. */
  file: string | null
  loaded_at: Time
  warnings: string[]
  status: {
    version: string
    started_at: Time
    store: string
    store_state: 'reachable' | 'away'
    shared: string
    shared_state: 'memory' | 'reachable' | 'away'
    journal_bytes: number
    gateways: number
    /** Where clients send their requests: http://127.0.0.1:8080 */
    client_url: string
  }
}

/** POST config/reload: 200 with this, or 422 with the sentence that `relay check` prints. */
export interface Reloaded {
  loaded_at: Time
  warnings: string[]
}
