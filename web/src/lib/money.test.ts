/* money.ts: exact sums and the same rounding as Relay's. */
import { describe, expect, it } from 'vitest'
import { lengthOf, parseUsd, showPrice, showShareOfUsd, showUsd, showUsdText, sumUsd } from './money'

describe('money', () => {
  it.each([
    ['0', '$0'], ['1', '$1.00'], ['-1.5', '-$1.50'], ['0.000123', '$0.0001230'],
    ['0.000000000001', '$0.000000000001'], ['-0.000000000001', '-$0.000000000001'],
    ['0.000000012345', '$0.00000001234'], ['0.000000012355', '$0.00000001236'],
    ['9223372.036854775807', '$9,223,372.04'], ['1.37', '$1.37'], ['0.8978', '$0.8978'], ['0.5', '$0.5000'],
    ['1.365', '$1.36'], ['1.375', '$1.38'], ['1.374999999999', '$1.37'], ['0.89785', '$0.8978'],
    ['0.897850000001', '$0.8979'], ['0.99995', '$1.00'], ['0.999949999999', '$0.9999'], ['0.00999996', '$0.01000'],
    ['1234.5', '$1,234.50'], ['-1000000', '-$1,000,000.00'],
  ])('%s is %s for people', (text, shown) => expect(showUsdText(text)).toBe(shown))

  it('never takes unknown for nothing', () => {
    expect(showUsdText(null)).toBe('unknown')
    expect(showUsdText('')).toBe('unknown')
    expect(showUsdText('1e3')).toBe('unknown')
    expect(showUsd(0n)).toBe('$0')
  })

  it('adds exactly where a double would not', () => {
    expect(sumUsd(['0.1', '0.2', null])).toBe(300000000000n)
    expect(sumUsd(['9007199254.740993', '0.000000000001'])).toBe(9007199254740993000001n)
    expect(sumUsd([null, undefined])).toBeNull()
    expect(parseUsd('-0.25')).toBe(-250000000000n)
  })

  it('shows prices as short as they are', () => {
    expect(showPrice('0.05')).toBe('$0.05')
    expect(showPrice('15')).toBe('$15.00')
    expect(showPrice('0.0375')).toBe('$0.0375')
    expect(showPrice('0')).toBe('free')
    expect(showPrice(null)).toBe('unknown')
  })

  it('rounds shares', () => {
    expect(showShareOfUsd(1n, 3n)).toBe('33.3%')
    expect(showShareOfUsd(2n, 3n)).toBe('66.7%')
    expect(showShareOfUsd(3n, 3n)).toBe('100.0%')
    expect(showShareOfUsd(0n, 0n)).toBe('–')
    expect(showShareOfUsd(null, 3n)).toBe('–')
    expect(lengthOf(1500000000000n)).toBe(1.5)
  })
})
