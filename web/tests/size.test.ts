/* What is committed in dist/ stays small, and has nothing in it that the content security policy forbids. */
import { readFileSync, readdirSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'

const DIST = new URL('../dist/', import.meta.url)
const assets = readdirSync(new URL('assets/', DIST))
const read = (name: string) => readFileSync(new URL(name, DIST))
const html = read('index.html').toString()

/** The files that a chunk imports, by name, and theirs; not those that it can ask for later. */
function withImports(name: string, known = new Set<string>()): Set<string> {
  if (known.has(name)) return known
  known.add(name)
  if (!name.endsWith('.js')) return known
  for (const [, file] of read(`assets/${name}`).toString().matchAll(/(?:from|import)\s*["'`]\.\/([\w.-]+)["'`]/g)) withImports(file!, known)
  return known
}

it('is under 500 kB together', () => {
  const total = assets.reduce((n, name) => n + read(`assets/${name}`).length, html.length)
  expect(total).toBeLessThan(500_000)
})

it('shows its first page with less than 150 kB, compressed', () => {
  const first = [...html.matchAll(/\/assets\/([\w.-]+)/g)].map((m) => m[1]!)
  const overview = assets.filter((name) => name.startsWith('Overview'))
  const fonts = assets.filter((name) => name.endsWith('.woff2'))
  const files = new Set([...first, ...overview].flatMap((name) => [...withImports(name)]).concat(fonts))
  expect(files.size).toBeGreaterThan(5)
  const bytes = [...files].reduce((n, name) => n + gzipSync(read(`assets/${name}`), { level: 6 }).length, gzipSync(html).length)
  expect(bytes).toBeLessThan(150_000)
})

it('has no script or style inside its page, and asks no other host', () => {
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/)
  for (const name of ['index.html', ...assets.map((a) => `assets/${a}`)]) {
    if (/\.(js|css|html)$/.test(name)) expect(read(name).toString()).not.toMatch(/(src|href)=["']?https?:|url\(["']?https?:|\beval\(|new Function\(/)
  }
})
