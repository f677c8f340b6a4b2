/* time.ts - ranges, buckets and how times are written. The log is UTC; people read their own time. */
import type { Time, UsageBy } from '../api'

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

export const RANGES = { '1h': HOUR, '6h': 6 * HOUR, '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY } as const
export type RangeName = keyof typeof RANGES
export const RANGE_DEFAULT: RangeName = '24h'
export const isRangeName = (text: string): text is RangeName => Object.hasOwn(RANGES, text)

/** Milliseconds; `to` is not part of it. */
export interface Span {
  from: number
  to: number
}

export type TimeBy = Extract<UsageBy, 'minute' | 'hour' | 'day'>

/** The finest bucket that leaves a chart readable. */
export function bucketOf(span: Span): TimeBy {
  const length = span.to - span.from
  return length <= 3 * HOUR ? 'minute' : length <= 8 * DAY ? 'hour' : 'day'
}

export const BUCKET_MS: Record<TimeBy, number> = { minute: MINUTE, hour: HOUR, day: DAY }

/** Starts of all buckets that the span touches: what the log has no rows for is a zero, not a gap in time. */
export function bucketsOf(span: Span, by: TimeBy): number[] {
  const step = BUCKET_MS[by]
  const starts: number[] = []
  for (let at = Math.floor(span.from / step) * step; at < span.to; at += step) starts.push(at)
  return starts
}

/** How far this machine's clock is behind the gateway's, where that is more than can come from the way there and back. */
let behind = 0
const BEHIND_LEAST = 10_000

/** What the gateway's clock said, to the second, in an answer that was asked for and came at these times here. */
export function learnClock(said: number, asked: number, came: number): void {
  const found = said + 500 - (asked + came) / 2
  if (!Number.isNaN(found)) behind = Math.abs(found) < BEHIND_LEAST ? 0 : found
}

/** The gateway's time: the log is written by it, wherever the reader's clock may stand. */
export const nowMs = () => Date.now() + behind

export const toTime = (ms: number): Time => new Date(ms).toISOString()

/** A day ("2026-11-23") is its midnight in UTC. */
export function parseTime(text: Time): number {
  return Date.parse(text)
}

const TWO = (n: number) => String(n).padStart(2, '0')
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** "14:05" or "14:05:09", in the reader's time. */
export function showClock(ms: number, seconds = false): string {
  const d = new Date(ms)
  return `${TWO(d.getHours())}:${TWO(d.getMinutes())}${seconds ? `:${TWO(d.getSeconds())}` : ''}`
}

/** "23 Nov", with the year if it is another one. */
export function showDay(ms: number, now = nowMs()): string {
  const d = new Date(ms)
  const year = d.getFullYear() === new Date(now).getFullYear() ? '' : ` ${d.getFullYear()}`
  return `${d.getDate()} ${MONTHS[d.getMonth()]}${year}`
}

export function showMoment(ms: number, now = nowMs()): string {
  return `${showDay(ms, now)}, ${showClock(ms, true)}`
}

/** A bucket's name. Days are the log's, which are UTC. */
export function showBucket(ms: number, by: TimeBy): string {
  if (by === 'day') {
    const d = new Date(ms)
    return `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} (UTC)`
  }
  return by === 'hour' ? `${showDay(ms)}, ${showClock(ms)}–${showClock(ms + HOUR)}` : `${showDay(ms)}, ${showClock(ms)}`
}

/** "3 min ago", "in 5 h", "just now". */
export function showAgo(ms: number, now = nowMs()): string {
  const length = Math.abs(now - ms)
  if (length < 10_000) return 'just now'
  const text = showLength(length)
  return ms <= now ? `${text} ago` : `in ${text}`
}

/** One unit, rounded down: "42 s", "3 min", "5 h", "12 d". */
export function showLength(length: number): string {
  if (length < MINUTE) return `${Math.floor(length / 1000)} s`
  if (length < HOUR) return `${Math.floor(length / MINUTE)} min`
  if (length < 2 * DAY) return `${Math.floor(length / HOUR)} h`
  return `${Math.floor(length / DAY)} d`
}

/** For <input type="datetime-local">, in the reader's time. */
export function toInput(ms: number): string {
  const d = new Date(ms)
  return `${d.getFullYear()}-${TWO(d.getMonth() + 1)}-${TWO(d.getDate())}T${showClock(ms)}`
}

export function fromInput(text: string): number | null {
  const ms = new Date(text).getTime()
  return Number.isNaN(ms) ? null : ms
}

/** When a budget of this period begins anew, in UTC; null for a total. */
export function budgetRenews(period: string | null, now = nowMs()): number | null {
  const d = new Date(now)
  if (period === 'day') return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate() + 1)
  if (period === 'month') return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 1)
  return null
}
