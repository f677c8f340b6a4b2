/* usage.ts - sums of the log as the overview draws them. */
import type { Usage, UsageRow } from '../api'
import { ApiError, type Query, get } from './client'
import { BUCKET_MS, type Span, type TimeBy, bucketOf, bucketsOf, parseTime, toTime } from './time'

export interface Timed {
  by: TimeBy
  times: number[]
  /** One for each of `times`; undefined where the log has no rows. */
  rows: (UsageRow | undefined)[]
  total: Usage['total']
}

const BUCKETS_MOST = 800

/** A range that is far longer than the log is drawn from the first row to the last. */
function drawnOf(usage: Usage, by: TimeBy, span: Span): Span {
  const [first, last] = [usage.rows[0]?.[by], usage.rows.at(-1)?.[by]]
  if ((span.to - span.from) / BUCKET_MS[by] <= BUCKETS_MOST || first === undefined || last === undefined) return span
  return { from: Math.max(span.from, parseTime(first)), to: Math.min(span.to, parseTime(last) + BUCKET_MS[by]) }
}

/** Puts each row where its bucket is. Rows of buckets that were not asked for are left out. */
export function alignRows(usage: Usage, by: TimeBy, span: Span): Timed {
  const times = bucketsOf(drawnOf(usage, by, span), by)
  const place = new Map(times.map((t, i) => [t, i]))
  const rows = new Array<UsageRow | undefined>(times.length).fill(undefined)
  for (const row of usage.rows) {
    const text = row[by]
    const i = text === undefined ? undefined : place.get(parseTime(text))
    if (i !== undefined) rows[i] = row
  }
  return { by, times, rows, total: usage.total }
}

/** By minute where the server can; by the hour otherwise. */
export async function askTimed(span: Span, filters: Query, signal: AbortSignal): Promise<Timed> {
  const ask = async (by: TimeBy) =>
    alignRows(await get<Usage>('usage', { ...filters, from: toTime(span.from), to: toTime(span.to), by }, signal), by, span)
  const by = bucketOf(span)
  try {
    return await ask(by)
  } catch (e) {
    if (by === 'minute' && e instanceof ApiError && e.status === 400) return ask('hour')
    throw e
  }
}
