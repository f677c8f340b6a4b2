/* numbers.ts: counts and lengths as people read them. */
import { expect, it } from 'vitest'
import { plural, showBytes, showMs, showShare, showShort } from './numbers'

it.each([[0, '0'], [999, '999'], [4900, '4.9K'], [4949, '4.9K'], [1000, '1K'], [123456, '123K'], [999960, '1M'], [1234567, '1.2M']])(
  '%d is %s', (n, shown) => expect(showShort(n)).toBe(shown))

it.each([[0.03, '30 µs'], [0.8, '0.8 ms'], [9.96, '10 ms'], [418.2, '418 ms'], [999.6, '1.00 s'], [1240, '1.24 s'], [12345, '12.3 s'], [125000, '2 min 5 s'], [null, '–']])(
  '%d ms is %s', (ms, shown) => expect(showMs(ms)).toBe(shown))

it('shows shares without claiming more than there is', () => {
  expect(showShare(0, 0)).toBe('–')
  expect(showShare(0, 5)).toBe('0%')
  expect(showShare(1, 100000)).toBe('<0.01%')
  expect(showShare(3, 412)).toBe('0.73%')
  expect(showShare(99999, 100000)).toBe('99.9%')
  expect(showShare(5, 5)).toBe('100%')
})

it('shows sizes and counts', () => {
  expect(showBytes(4096)).toBe('4.0 KiB')
  expect(showBytes(268435456)).toBe('256 MiB')
  expect(plural(1, 'row')).toBe('1 row')
  expect(plural(1200, 'row')).toBe('1,200 rows')
})
