/* address.ts - the state of a page is in its address: `#/requests?range=7d&status=error`. Back and forward work, and an
 * address that is handed on shows the same. */
import { createSignal } from 'solid-js'
import { RANGES, RANGE_DEFAULT, type Span, isRangeName } from './time'

export interface Address {
  page: string
  query: URLSearchParams
}

export function parseAddress(hash: string): Address {
  const text = hash.replace(/^#?\/?/, '')
  const cut = text.indexOf('?')
  const page = cut < 0 ? text : text.slice(0, cut)
  return { page: page || 'overview', query: new URLSearchParams(cut < 0 ? '' : text.slice(cut + 1)) }
}

export type Changes = Record<string, string | number | null | undefined>

/** The address with `changes` made; null or an empty text takes a parameter away. */
export function makeAddress(page: string, query: URLSearchParams | null, changes: Changes = {}): string {
  const next = new URLSearchParams(query ?? undefined)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') next.delete(name)
    else next.set(name, String(value))
  }
  const text = next.toString()
  return `#/${page}${text === '' ? '' : `?${text}`}`
}

/** The range that an address asks for, relative to `now`. A wrong one is the usual one. */
export function spanOf(query: URLSearchParams, now: number): Span {
  const range = query.get('range') ?? RANGE_DEFAULT
  if (range === 'custom') {
    const from = Date.parse(query.get('from') ?? '')
    const to = Date.parse(query.get('to') ?? '')
    if (!Number.isNaN(from) && !Number.isNaN(to) && from < to) return { from, to }
  }
  return { from: now - (isRangeName(range) ? RANGES[range] : RANGES[RANGE_DEFAULT]), to: now }
}

/** What narrows a view down, and goes along from page to page. */
export const FILTERS = ['key', 'model', 'provider'] as const
export const SHARED = ['range', 'from', 'to', ...FILTERS] as const

export function sharedOf(query: URLSearchParams): URLSearchParams {
  const kept = new URLSearchParams()
  for (const name of SHARED) {
    const value = query.get(name)
    if (value !== null) kept.set(name, value)
  }
  return kept
}

const [address, setAddress] = createSignal(parseAddress(globalThis.location?.hash ?? ''))
export { address }

/** Call once, at start. */
export function followAddress(): void {
  window.addEventListener('hashchange', () => setAddress(parseAddress(location.hash)))
}

export function go(hash: string, how: 'push' | 'replace' = 'push'): void {
  if (hash === location.hash) return
  history[how === 'push' ? 'pushState' : 'replaceState'](null, '', hash)
  setAddress(parseAddress(hash))
}

/** Changes parameters of the page that is open. */
export function change(changes: Changes, how: 'push' | 'replace' = 'push'): void {
  const { page, query } = address()
  go(makeAddress(page, query, changes), how)
}
