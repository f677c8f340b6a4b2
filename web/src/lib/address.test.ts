/* address.ts: what is written into an address is read back. */
import { describe, expect, it } from 'vitest'
import { makeAddress, parseAddress, sharedOf, spanOf } from './address'
import { DAY, HOUR } from './time'

const NOW = Date.UTC(2026, 10, 23, 14, 37)

describe('the address of a page', () => {
  it('is read', () => {
    expect(parseAddress('').page).toBe('overview')
    expect(parseAddress('#/').page).toBe('overview')
    const { page, query } = parseAddress('#/requests?status=error&model=groq%2Fa%3Fb')
    expect(page).toBe('requests')
    expect(query.get('model')).toBe('groq/a?b')
  })

  it('is written, and reads back the same', () => {
    const hostile = '<script>alert(1)</script>&key=#/x'
    const hash = makeAddress('requests', new URLSearchParams('range=7d&status=error'), { status: null, q: hostile })
    const back = parseAddress(hash)
    expect(back.query.get('q')).toBe(hostile)
    expect(back.query.get('range')).toBe('7d')
    expect(back.query.has('status')).toBe(false)
    expect(makeAddress('keys', null)).toBe('#/keys')
  })

  it('has a range, and a wrong one is the usual one', () => {
    expect(spanOf(new URLSearchParams('range=1h'), NOW)).toEqual({ from: NOW - HOUR, to: NOW })
    expect(spanOf(new URLSearchParams(), NOW)).toEqual({ from: NOW - DAY, to: NOW })
    expect(spanOf(new URLSearchParams('range=constructor'), NOW)).toEqual({ from: NOW - DAY, to: NOW })
    expect(spanOf(new URLSearchParams('range=custom&from=x&to=y'), NOW)).toEqual({ from: NOW - DAY, to: NOW })
    const custom = new URLSearchParams('range=custom&from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z')
    expect(spanOf(custom, NOW)).toEqual({ from: Date.UTC(2026, 10, 1), to: Date.UTC(2026, 10, 2) })
  })

  it('hands on the range and the filters, and nothing else', () => {
    expect(sharedOf(new URLSearchParams('range=7d&key=k&open=1&before=2')).toString()).toBe('range=7d&key=k')
  })
})
