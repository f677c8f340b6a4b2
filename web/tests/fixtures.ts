/* fixtures.ts - a page that is signed in, and that fails its test by an error, a breach of the content security policy or
 * a request to any other host. */
import AxeBuilder from '@axe-core/playwright'
import { type Page, test as base, expect } from '@playwright/test'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { ADMIN_KEY, Gateway, type Sim, startSim } from './gateway'

export const isMock = process.env.RELAY_BIN_DIR === undefined && process.env.RELAY_URL === undefined
/** A gateway that these tests started, beside its log. */
export const isOurs = process.env.RELAY_BIN_DIR !== undefined
/** Has some of everything: odd names, unknown prices, fallbacks. */
export const hasAll = isMock || isOurs
const USUAL_KEY = process.env.RELAY_ADMIN_KEY ?? 'gla_mock_admin_key'

/** What a test needs of the mock (world.mjs), beside the usual. */
export const KEYS = {
  usual: USUAL_KEY, empty: 'gla_mock_empty_log', one: 'gla_mock_one_row', away: 'gla_mock_store_away', many: 'gla_mock_many_keys', broken: 'gla_mock_broken',
}

function watch(page: Page, troubles: string[]) {
  page.on('pageerror', (e) => troubles.push(`error: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) troubles.push(`console: ${m.text()}`)
  })
  page.on('request', (r) => {
    const from = r.isNavigationRequest() ? r.url() : r.frame().url()
    if (new URL(r.url()).origin !== new URL(from).origin && !r.url().startsWith('data:')) troubles.push(`outside: ${r.url()}`)
  })
  page.on('dialog', (d) => {
    troubles.push(`a script of a name ran: ${d.message()}`)
    void d.dismiss()
  })
}

interface Fixtures {
  /** Opens a page of the dashboard, signed in. */
  open: (hash: string, key?: string) => Promise<Page>
}

interface Workers {
  sim: Sim
  /** A gateway of this worker's own, not started, with no data yet, that asks `p/m` of a simulated provider. */
  makeOwn: (name: string) => Gateway
}

export const test = base.extend<Fixtures & { clean: void }, Workers>({
  sim: [async ({}, use) => {
    const sim = await startSim(process.env.RELAY_FOLDER!, `own-${process.pid}`, '--latency', '5', '--tokens', '20')
    await use(sim)
    await sim.stop()
  }, { scope: 'worker' }],
  makeOwn: [async ({ sim }, use) => {
    const made: Gateway[] = []
    await use((name) => {
      const folder = mkdtempSync(join(process.env.RELAY_FOLDER!, `${name}-`))
      const gateway = new Gateway(folder, {
        providers: { p: { kind: 'openai', base_url: `${sim.url}/v1`, api_key: 'sk-own-secret' } },
        models: [{ id: 'p/m', input: 1, output: 2, quality: 50, context: 32000, max_output: 4096 }],
        targets: { min_quality: 0 }, cache: { semantic: false },
      })
      made.push(gateway)
      return gateway
    })
    for (const gateway of made) await gateway.stop()
  }, { scope: 'worker' }],
  clean: [async ({ page }, use) => {
    const troubles: string[] = []
    watch(page, troubles)
    await use()
    expect(troubles).toEqual([])
  }, { auto: true }],
  open: async ({ page }, use) => {
    await use(async (hash, key = KEYS.usual) => {
      const answer = await page.request.post('/admin/v1/session', { data: { key } })
      expect(answer.status()).toBe(200)
      await page.goto(`/${hash}`)
      await expect(page.locator('main h1')).toBeVisible()
      return page
    })
  },
})

export { expect }

/** Everything that was asked for is there: no skeleton is left. */
export async function settled(page: Page) {
  await expect(page.locator('.skeleton')).toHaveCount(0)
}

/** axe finds nothing to object to. */
export async function isAccessible(page: Page) {
  const found = await new AxeBuilder({ page }).analyze()
  expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)).toEqual([])
}

/** Signs in to a gateway of the test's own, and opens a page of it. */
export async function openOwn(page: Page, gateway: Gateway, hash: string) {
  const answer = await page.request.post(`${gateway.url}/admin/v1/session`, { data: { key: ADMIN_KEY } })
  expect(answer.status()).toBe(200)
  await page.goto(`${gateway.url}/${hash}`)
  await expect(page.locator('main h1')).toBeVisible()
}
