/* Every number on the overview beside what SQL over the log's own table says: counts and money to the last digit shown,
 * quantiles within the 1 % that sums of long ranges may be off. */
import { DatabaseSync } from 'node:sqlite'
import { type Page } from '@playwright/test'
import { showShareOfUsd, showUsd } from '../src/lib/money'
import { plural, showCount, showMs, showShare, showShort } from '../src/lib/numbers'
import { type TimeBy, BUCKET_MS, bucketOf, bucketsOf, showBucket } from '../src/lib/time'
import { expect, isOurs, settled, test } from './fixtures'

test.skip(!isOurs, 'the log must be beside the test')

interface Row {
  name: string | null
  requests: bigint
  errors: bigint
  hits: bigint
  tokens_in: bigint
  tokens_out: bigint
  cost: bigint
  unknown: bigint
  cache_saved: bigint
  routing_saved: bigint
}
interface Where {
  sql: string
  args: (string | number | bigint)[]
}
interface Quantiles {
  ttft: number[]
  latency: number[]
}

const SUMS = `count(*) AS requests, sum(status >= 400) AS errors, sum(cache IN ('exact','semantic','shared')) AS hits,
  sum(coalesce(prompt_tokens, 0)) AS tokens_in, sum(coalesce(completion_tokens, 0)) AS tokens_out,
  sum(coalesce(cost_pusd, 0)) AS cost, sum(cost_pusd IS NULL) AS unknown,
  sum(coalesce(cache_saved_pusd, 0)) AS cache_saved, sum(coalesce(routing_saved_pusd, 0)) AS routing_saved`

class Log {
  private readonly db = new DatabaseSync(process.env.RELAY_DATABASE!, { readOnly: true })
  ask<T>(sql: string, where: Where): T[] {
    const asked = this.db.prepare(sql.replace('WHERE', `WHERE ${where.sql}`))
    asked.setReadBigInts(true)
    return asked.all(...where.args) as T[]
  }
  groups(group: string, where: Where): Row[] {
    return this.ask<Row>(`SELECT ${group} AS name, ${SUMS} FROM request_log WHERE GROUP BY 1 ORDER BY cost DESC, requests DESC`, where)
  }
  sum(where: Where): Row {
    return this.ask<Row>(`SELECT NULL AS name, ${SUMS} FROM request_log WHERE`, where)[0]!
  }
  times(where: Where): Quantiles {
    const of = (column: string) => this.ask<{ ms: number }>(`SELECT ${column} AS ms FROM request_log WHERE AND ${column} IS NOT NULL ORDER BY 1`, where).map((r) => r.ms)
    return { ttft: of('ttft_ms'), latency: of('latency_ms') }
  }
  close = () => this.db.close()
}

/** "1.24 s" as 1240. */
function msOf(text: string): number {
  const found = /^([\d.]+) (µs|ms|s|min)(?: (\d+) s)?$/.exec(text)
  expect(found, `a length of time: ${text}`).not.toBeNull()
  const unit = { µs: 0.001, ms: 1, s: 1000, min: 60_000 }[found![2]!]!
  return Number(found![1]) * unit + Number(found![3] ?? 0) * 1000
}

/** What is shown is the value of the nearest rank, give or take 1 % and the digits that are shown. */
function checkQuantile(shown: string, sorted: number[], share: number): void {
  if (sorted.length === 0) return expect(shown).toBe('–')
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
  expect(msOf(shown), `${shown} for ${value}`).toBeGreaterThanOrEqual(msOf(showMs(value * 0.99)))
  expect(msOf(shown), `${shown} for ${value}`).toBeLessThanOrEqual(msOf(showMs(value * 1.01)))
}

const HIT = "cache IN ('exact','semantic','shared')"
const and = (where: Where, sql: string, ...args: (string | number | bigint)[]): Where => ({ sql: `${where.sql} AND ${sql}`, args: [...where.args, ...args] })
const usd = (amount: bigint) => showUsd(amount)
const count = (n: bigint) => showCount(Number(n))
const share = (part: bigint, whole: bigint) => showShare(Number(part), Number(whole))
/** A group's spend as its cell has it, screen readers' words included. */
const spend = (r: Row) =>
  r.unknown === r.requests ? 'unknown' : r.unknown > 0n ? `${usd(r.cost)} + ? and ${plural(Number(r.unknown), 'request')} of unknown cost` : usd(r.cost)
const clean = (text: string) => text.replace(/\s+/g, ' ').trim()

async function checkFigures(page: Page, log: Log, where: Where): Promise<void> {
  const figure = async (name: string) => {
    const box = page.locator('.stats > div').filter({ has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) })
    return { value: clean(await box.locator('.value').innerText()), note: clean(await box.locator('.note').innerText()) }
  }
  const t = log.sum(where)
  const saved = t.cache_saved + t.routing_saved
  const short = (n: bigint) => showShort(Number(n))
  expect(await figure('Requests')).toEqual({ value: count(t.requests), note: `${short(t.tokens_in)} tokens in, ${short(t.tokens_out)} out` })
  expect(await figure('Spend')).toEqual({ value: usd(t.cost), note: t.unknown === 0n ? 'every cost is known' : `+ ${count(t.unknown)} of unknown cost` })
  expect(await figure('Saved')).toEqual({ value: `${usd(saved)} ${showShareOfUsd(saved, t.cost + saved)}`, note: `cache ${usd(t.cache_saved)} routing ${usd(t.routing_saved)}` })
  expect(await figure('Errors')).toEqual({ value: share(t.errors, t.requests), note: plural(Number(t.errors), 'request') })
  const hits = await figure('Cache hits')
  expect(hits.value).toBe(share(t.hits, t.requests))
  if (!hits.note.includes('differ')) expect(hits.note).toBe(plural(Number(t.hits), 'hit'))
  const speed = await figure('First token, p50')
  const q = log.times(where)
  const [, p50, p95] = /^(.+) p95 (.+)$/.exec(speed.value)!
  checkQuantile(p50!, q.ttft, 0.5)
  checkQuantile(p95!, q.ttft, 0.95)
  const [, w50, w95] = /^whole (.+), p95 (.+)$/.exec(speed.note)!
  checkQuantile(w50!, q.latency, 0.5)
  checkQuantile(w95!, q.latency, 0.95)
}

async function cellsOf(page: Page, region: string | RegExp): Promise<string[][]> {
  const rows = await page.getByRole('region', { name: region }).locator('tbody tr').evaluateAll((list) =>
    list.map((tr) => [...tr.querySelectorAll('td')].map((td) => td.textContent ?? '')))
  return rows.map((row) => row.map(clean))
}

async function checkCharts(page: Page, log: Log, where: Where, span: { from: number; to: number }): Promise<void> {
  const by: TimeBy = bucketOf(span)
  const step = BUCKET_MS[by]
  for (let i = 0; i < 4; i++) await page.getByRole('button', { name: /: show as a table$/ }).first().click()
  const tables = { money: await cellsOf(page, /^Spend and savings per/), counts: await cellsOf(page, /^Requests per/),
    ttft: await cellsOf(page, /^Time to the first/), whole: await cellsOf(page, /^Time to the whole/) }
  const starts = bucketsOf(span, by).reverse()
  for (const table of Object.values(tables)) expect(table.length).toBe(starts.length)
  for (const [i, start] of starts.entries()) {
    const here = and(where, 'at_us >= ? AND at_us < ?', BigInt(start) * 1000n, BigInt(start + step) * 1000n)
    const r = log.sum(here)
    const name = showBucket(start, by)
    if (r.requests === 0n) {
      expect([tables.money[i], tables.ttft[i]]).toEqual([[name, '$0', '$0', '$0'], [name, '–', '–']])
      continue
    }
    expect(tables.money[i]).toEqual([name, usd(r.cost), usd(r.cache_saved), usd(r.routing_saved)])
    expect(tables.counts[i]).toEqual([name, `${count(r.errors)} (${share(r.errors, r.requests)})`, `${count(r.hits)} (${share(r.hits, r.requests)})`, count(r.requests - r.errors - r.hits)])
    const q = log.times(here)
    for (const [table, values] of [[tables.ttft, q.ttft], [tables.whole, q.latency]] as const) {
      checkQuantile(table[i]![1]!, values, 0.5)
      checkQuantile(table[i]![2]!, values, 0.95)
    }
  }
}

async function checkProviders(page: Page, log: Log, where: Where): Promise<void> {
  const total = log.sum(where)
  const rows = await page.locator('section', { has: page.getByRole('heading', { name: 'Providers' }) }).locator('li').evaluateAll((list) =>
    list.map((li) => [...li.children].slice(0, 3).map((c) => c.textContent ?? '')))
  const expected = log.groups("nullif(provider, '')", where).map((r) => [r.name ?? 'none (refused before)', `${showShort(Number(r.requests))} / ${spend(r)}`, share(r.requests, total.requests)])
  expect(rows.map((row) => row.map(clean)).sort()).toEqual(expected.sort())
}

async function checkModels(page: Page, log: Log, where: Where): Promise<void> {
  const seen = await cellsOf(page, 'Latency by model')
  const named = and(where, 'provider IS NOT NULL')
  const expected = log.groups("provider || '/' || model", named)
  expect(seen.map((c) => c.slice(0, 3)).sort()).toEqual(expected.map((r) => [r.name!, showShort(Number(r.requests)), spend(r)]).sort())
  for (const cells of seen) {
    const q = log.times(and(where, `provider || '/' || model = ? AND NOT coalesce(${HIT}, 0)`, cells[0]!))
    for (const [i, values, part] of [[4, q.ttft, 0.5], [5, q.ttft, 0.95], [7, q.latency, 0.5], [8, q.latency, 0.95]] as const) checkQuantile(cells[i]!, values, part)
  }
}

async function checkKeys(page: Page, log: Log, where: Where): Promise<void> {
  const total = log.sum(where)
  const rows = log.ask<Row & { tag: string }>(`SELECT k.name AS name, k.tag AS tag, ${SUMS} FROM request_log LEFT JOIN key_record k ON k.id = key_id WHERE GROUP BY key_id`, where)
  const expected = rows.map((r) => [r.name ?? 'Relay itself (audits)', r.tag ?? '–', count(r.requests), spend(r), showShareOfUsd(r.cost, total.cost)])
  expect((await cellsOf(page, 'Top keys by spend')).map((c) => c.slice(0, 5)).sort()).toEqual(expected.sort())
  await expect(page.getByText(plural(rows.filter((r) => r.name !== null).length, 'active key'), { exact: true })).toBeVisible()
}

const idOf = (uuid: string) => `key_id = x'${uuid.replaceAll('-', '')}'`

const HOUR = 3_600_000
/** Ranges in hours before the present; filters as they are in the address, and in SQL. */
const VIEWS: { name: string; range: [number, number]; filters?: (keyId: string) => string; sql?: (keyId: string) => string }[] = [
  { name: 'an hour, by the minute', range: [1, 0] },
  { name: 'a day', range: [24, 0] },
  { name: 'a month, by the day', range: [30 * 24, 0] },
  { name: 'from the middle of an hour to the middle of another', range: [15.3, 1.2] },
  { name: 'one key', range: [30 * 24, 0], filters: (id) => `key=${id}`, sql: idOf },
  { name: 'one provider', range: [7 * 24, 0], filters: () => 'provider=groq', sql: () => "provider = 'groq'" },
  { name: 'one model, whose price is not known', range: [30 * 24, 0], filters: () => 'model=my-vllm%2Facme-support-v3', sql: () => "provider = 'my-vllm' AND model = 'acme-support-v3'" },
  { name: 'a key at a provider', range: [30 * 24, 0], filters: (id) => `provider=gemini&key=${id}`, sql: (id) => `${idOf(id)} AND provider = 'gemini'` },
]

test('every number is what the log says', async ({ page, open }) => {
  const log = new Log()
  await open('#/settings')
  const { keys } = (await (await page.request.get('/admin/v1/keys?q=web-search')).json()) as { keys: { id: string }[] }
  const { id } = keys[0]!
  for (const view of VIEWS) {
    await test.step(view.name, async () => {
      const [from, to] = view.range.map((hours) => Math.floor(Date.now() - hours * HOUR)) as [number, number]
      const span = { from, to }
      await page.goto('about:blank') // no number of the view before is left
      await page.goto(`/#/overview?range=custom&from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}&${view.filters?.(id) ?? ''}`)
      const where: Where = { sql: 'at_us >= ? AND at_us < ?', args: [BigInt(from) * 1000n, BigInt(to) * 1000n] }
      if (view.sql) where.sql += ` AND ${view.sql(id)}`
      await expect(page.locator('.plot canvas')).toHaveCount(4)
      await settled(page)
      expect(log.sum(where).requests, 'the view has something to show').toBeGreaterThan(0n)
      await checkFigures(page, log, where)
      await checkCharts(page, log, where, span)
      await checkProviders(page, log, where)
      await checkModels(page, log, where)
      await checkKeys(page, log, where)
    })
  }
  log.close()
})
