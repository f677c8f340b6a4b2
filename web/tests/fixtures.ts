/* fixtures.ts - a page that is signed in, and that fails its test by an error, a breach of the content security policy or
 * a request to any other host. */
import { type Page, test as base, expect } from '@playwright/test'

export const isMock = process.env.RELAY_URL === undefined
const ADMIN_KEY = process.env.RELAY_ADMIN_KEY ?? 'gla_mock_admin_key'

/** What a test needs of the mock (world.mjs), beside the usual. */
export const KEYS = {
  usual: ADMIN_KEY, empty: 'gla_mock_empty_log', one: 'gla_mock_one_row', away: 'gla_mock_store_away', many: 'gla_mock_many_keys', broken: 'gla_mock_broken',
}

async function watch(page: Page, origin: string, troubles: string[]) {
  page.on('pageerror', (e) => troubles.push(`error: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) troubles.push(`console: ${m.text()}`)
  })
  page.on('request', (r) => {
    if (!r.url().startsWith(origin) && !r.url().startsWith('data:')) troubles.push(`outside: ${r.url()}`)
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

export const test = base.extend<Fixtures & { clean: void }>({
  clean: [async ({ page, baseURL }, use) => {
    const troubles: string[] = []
    await watch(page, new URL(baseURL!).origin, troubles)
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
