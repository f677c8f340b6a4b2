/* numbers.ts - counts, shares and lengths of time as people read them. */

export const showCount = (n: number) => n.toLocaleString('en-US')

/** "4.9K", "1.2M"; below a thousand as it is. */
export function showShort(n: number): string {
  if (n < 1000) return String(n)
  for (const [unit, name] of [[1e9, 'B'], [1e6, 'M'], [1e3, 'K']] as const) {
    if (n >= unit * 0.99995) {
      const v = n / unit
      return `${v >= 99.95 ? v.toFixed(0) : v.toFixed(1).replace(/\.0$/, '')}${name}`
    }
  }
  return String(n)
}

/** "1.2%", "0.04%", "0%", or a dash where there is nothing to have a share of. */
export function showShare(part: number, whole: number): string {
  if (whole === 0) return '–'
  const share = (part / whole) * 100
  if (share === 0) return '0%'
  return share < 0.01 ? '<0.01%' : share < 1 ? `${share.toFixed(2)}%` : share < 99.95 || share === 100 ? `${share.toFixed(1).replace(/\.0$/, '')}%` : '99.9%'
}

/** "0.8 ms", "418 ms", "1.24 s", "2 min 5 s". */
export function showMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms < 0.095) return `${Math.round(ms * 1000)} µs`
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`
  const s = Math.round(ms / 1000)
  return `${Math.floor(s / 60)} min ${s % 60} s`
}

export const showUs = (us: number) => showMs(us / 1000)

export function showBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let i = 0
  let v = bytes
  while (v >= 1024 && i < units.length - 1) {
    v /= 1024
    i++
  }
  return `${i === 0 || v >= 100 ? v.toFixed(0) : v.toFixed(1)} ${units[i]}`
}

export const plural = (n: number, one: string, many = `${one}s`) => `${showCount(n)} ${n === 1 ? one : many}`
