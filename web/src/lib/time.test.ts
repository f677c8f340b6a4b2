/* time.ts: ranges, buckets and their bounds. */
import { describe, expect, it } from 'vitest'
import { DAY, HOUR, MINUTE, bucketOf, bucketsOf, budgetRenews, fromInput, parseTime, showAgo, showLength, toInput, toTime } from './time'

const NOW = Date.UTC(2026, 10, 23, 14, 37, 12)

describe('time', () => {
  it('chooses buckets that leave a chart readable', () => {
    expect(bucketOf({ from: NOW - HOUR, to: NOW })).toBe('minute')
    expect(bucketOf({ from: NOW - DAY, to: NOW })).toBe('hour')
    expect(bucketOf({ from: NOW - 7 * DAY, to: NOW })).toBe('hour')
    expect(bucketOf({ from: NOW - 30 * DAY, to: NOW })).toBe('day')
  })

  it('lists every bucket that a range touches', () => {
    const hours = bucketsOf({ from: NOW - DAY, to: NOW }, 'hour')
    expect(hours).toHaveLength(25)
    expect(toTime(hours[0]!)).toBe('2026-11-22T14:00:00.000Z')
    expect(toTime(hours[24]!)).toBe('2026-11-23T14:00:00.000Z')
    expect(bucketsOf({ from: NOW, to: NOW }, 'hour')).toHaveLength(1)
    expect(bucketsOf({ from: NOW, to: NOW - DAY }, 'hour')).toHaveLength(0)
  })

  it('reads what the log writes', () => {
    expect(parseTime('2026-11-23')).toBe(Date.UTC(2026, 10, 23))
    expect(parseTime('2026-11-23T14:37:12.000000Z')).toBe(NOW)
    expect(parseTime('2026-11-23T14:00:00Z')).toBe(NOW - 37 * MINUTE - 12_000)
  })

  it('says how long ago', () => {
    expect(showAgo(NOW - 3000, NOW)).toBe('just now')
    expect(showAgo(NOW - 42_000, NOW)).toBe('42 s ago')
    expect(showAgo(NOW - 47 * HOUR, NOW)).toBe('47 h ago')
    expect(showAgo(NOW + 3 * DAY, NOW)).toBe('in 3 d')
    expect(showLength(59 * MINUTE + 59_999)).toBe('59 min')
  })

  it('takes what a field of date and time gives', () => {
    expect(fromInput(toInput(NOW))).toBe(NOW - 12_000)
    expect(fromInput('')).toBeNull()
  })

  it('knows when budgets begin anew', () => {
    expect(budgetRenews('day', NOW)).toBe(Date.UTC(2026, 10, 24))
    expect(budgetRenews('month', Date.UTC(2026, 11, 31, 23))).toBe(Date.UTC(2027, 0, 1))
    expect(budgetRenews('total', NOW)).toBeNull()
  })
})
