/* money.ts - exact decimals as text to integers of 10^-12 USD and to what people read. No number type is involved but
 * where a length is drawn. Rounding is Relay's own (half to even), so a page and a command show the same. */
import type { Usd } from '../api'

const DECIMALS = 12
const DOLLAR = 10n ** 12n

export type Pusd = bigint

/** null stays null: unknown. A text that is no decimal is unknown too. */
export function parseUsd(text: Usd | null | undefined): Pusd | null {
  const found = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text ?? '')
  if (found === null) return null
  const part = (found[3] ?? '').slice(0, DECIMALS).padEnd(DECIMALS, '0')
  const value = BigInt(found[2]! + part)
  return found[1] === '-' ? -value : value
}

/** The sum of what is known; null where nothing is. */
export function sumUsd(texts: (Usd | null | undefined)[]): Pusd | null {
  let sum: Pusd | null = null
  for (const text of texts) {
    const value = parseUsd(text)
    if (value !== null) sum = (sum ?? 0n) + value
  }
  return sum
}

function roundTo(value: bigint, unit: bigint): bigint {
  const times = value / unit
  const twice = (value % unit) * 2n
  const up = twice > unit || (twice === unit && unit > 1n && times % 2n === 1n)
  return (up ? times + 1n : times) * unit
}

const withCommas = (digits: string) => digits.replace(/\B(?=(\d{3})+$)/g, ',')

/** "$1.37" from a dollar up, four significant digits below, "$0", "unknown". */
export function showUsd(amount: Pusd | null): string {
  if (amount === null) return 'unknown'
  if (amount === 0n) return '$0'
  const value = amount < 0n ? -amount : amount
  let places = DECIMALS
  let unit = 1n
  for (let limit = 10000n; limit <= value && value < DOLLAR; limit *= 10n) {
    unit *= 10n
    places--
  }
  let rounded = roundTo(value, unit)
  if (value >= DOLLAR || rounded >= DOLLAR) {
    rounded = roundTo(value, DOLLAR / 100n)
    places = 2
  } else if (rounded >= 10000n * unit) {
    places-- // rounding has made a digit more: 0.0099996 is 0.01000
  }
  const part = String(rounded % DOLLAR).padStart(DECIMALS, '0').slice(0, places)
  return `${amount < 0n ? '-$' : '$'}${withCommas(String(rounded / DOLLAR))}.${part}`
}

export const showUsdText = (text: Usd | null | undefined) => showUsd(parseUsd(text))

/** A price per million tokens: as short as it is, "$0.05", "free". */
export function showPrice(text: Usd | null): string {
  const value = parseUsd(text)
  if (value === null) return 'unknown'
  if (value === 0n) return 'free'
  const part = String(value % DOLLAR).padStart(DECIMALS, '0').replace(/0+$/, '')
  return `$${withCommas(String(value / DOLLAR))}.${part.padEnd(2, '0')}`
}

/** How long a bar is, how high a point: never shown as digits. */
export function lengthOf(amount: Pusd | null): number {
  return amount === null ? 0 : Number(amount) / 1e12
}

/** The share of `part` in `whole`, in tenths of a percent, exactly rounded: "12.3%". */
export function showShareOfUsd(part: Pusd | null, whole: Pusd | null): string {
  if (part === null || whole === null || whole <= 0n) return '–'
  const tenths = roundTo(part * 10000n, whole * 10n) / whole / 10n
  return `${tenths / 10n}.${tenths % 10n}%`
}
