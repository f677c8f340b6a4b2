/* random.mjs - numbers that look random and are the same every time. */

export function randomFrom(seed) {
  let s = seed >>> 0
  const next = () => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = s
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    next,
    int: (below) => Math.floor(next() * below),
    pick: (list) => list[Math.floor(next() * list.length)],
    /** Index into `weights`, by weight. */
    weighted(weights) {
      let sum = 0
      for (const w of weights) sum += w
      let at = next() * sum
      for (let i = 0; i < weights.length; i++) if ((at -= weights[i]) < 0) return i
      return weights.length - 1
    },
    /** A latency: log-normal about `median`. */
    spread(median, sigma) {
      const u = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
      return median * Math.exp(sigma * u)
    },
  }
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
export const base62 = (r, n) => Array.from({ length: n }, () => ALPHABET[r.int(62)]).join('')

export function uuid7(ms, r) {
  const t = Math.floor(ms).toString(16).padStart(12, '0')
  const h = (n) => Array.from({ length: n }, () => r.int(16).toString(16)).join('')
  return `${t.slice(0, 8)}-${t.slice(8)}-7${h(3)}-${'89ab'[r.int(4)]}${h(3)}-${h(12)}`
}
