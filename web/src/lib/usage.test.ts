/* usage.ts: sums over rows with unknown parts. */
import { expect, it } from 'vitest'
import type { Sums, Usage } from '../api'
import { alignRows } from './usage'
import { DAY, HOUR } from './time'

const sums: Sums = {
  requests: 1, errors: 0, cache_hits: 0, prompt_tokens: 0, completion_tokens: 0, cost_usd: '0', cost_unknown: 0, cache_saved_usd: '0',
  routing_saved_usd: '0', ttft_ms: { p50: null, p95: null }, latency_ms: { p50: null, p95: null },
}
const usage = (rows: Usage['rows'], by: Usage['by']): Usage => ({ by, from: '', to: '', rows, count: rows.length, total: sums })

it('puts rows into their buckets, also where hours have none', () => {
  const from = Date.UTC(2026, 10, 23, 10, 30)
  const t = alignRows(usage([{ hour: '2026-11-23T12:00:00Z', ...sums }], 'hour'), 'hour', { from, to: from + 3 * HOUR })
  expect(t.times).toHaveLength(4)
  expect(t.rows.map((r) => r?.requests ?? 0)).toEqual([0, 0, 1, 0])
})

it('takes days as the log names them, and passes over what was not asked for', () => {
  const from = Date.UTC(2026, 10, 20)
  const t = alignRows(usage([{ day: '2026-11-21', ...sums }, { day: '2026-10-01', ...sums }], 'day'), 'day', { from, to: from + 3 * DAY })
  expect(t.rows.map((r) => r !== undefined)).toEqual([false, true, false])
})
