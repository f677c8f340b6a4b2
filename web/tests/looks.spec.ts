/* Every page in dark, light and on a phone: axe finds nothing, nothing is wider than the screen, and there is a picture in
 * test-results/screens (or SCREENS). */
import { type Page } from '@playwright/test'
import { KEYS, expect, isAccessible, isMock, settled, test } from './fixtures'

const SCREENS = process.env.SCREENS ?? 'test-results/screens'

interface Look {
  name: string
  hash: string
  key?: string
  then?: (page: Page) => Promise<void>
}

const openFirst = async (page: Page) => {
  await page.locator('table.log tbody tr').first().getByRole('button').click()
  await expect(page.getByRole('dialog').locator('.step')).toHaveCount(6)
}

const LOOKS: Look[] = [
  { name: 'overview', hash: '#/overview' },
  { name: 'requests', hash: '#/requests' },
  { name: 'request', hash: '#/requests?range=30d', then: openFirst },
  { name: 'keys', hash: '#/keys' },
  { name: 'key', hash: '#/keys', then: async (page) => {
    await page.getByRole('button', { name: 'New key' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
  } },
  { name: 'models', hash: '#/models' },
  { name: 'routing', hash: '#/routing', then: async (page) => {
    await page.getByLabel('Prompt').fill('Summarise this thread in three bullet points')
    await page.getByRole('button', { name: 'Show the decision' }).click()
    await expect(page.getByRole('region', { name: 'Candidates' })).toBeVisible()
  } },
  { name: 'cache', hash: '#/cache' },
  { name: 'settings', hash: '#/settings' },
  ...(isMock ? [
    { name: 'hit', hash: '#/requests?range=30d&cache=semantic', then: openFirst },
    { name: 'empty', hash: '#/overview', key: KEYS.empty },
    { name: 'away', hash: '#/overview', key: KEYS.away },
  ] : []),
]

const SIZES = [
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1440, height: 900 } },
  { name: 'light', colorScheme: 'light', viewport: { width: 1440, height: 900 } },
  { name: 'phone', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
] as const

for (const size of SIZES) {
  test.describe(size.name, () => {
    test.use({ colorScheme: size.colorScheme, viewport: size.viewport, reducedMotion: 'reduce' } as Parameters<typeof test.use>[0])
    test('every page', async ({ page, open }) => {
      const look = async (name: string, fullPage = false) => {
        await page.evaluate(() => document.fonts.ready)
        await page.screenshot({ path: `${SCREENS}/${name}-${size.name}.png`, fullPage, animations: 'disabled' })
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(size.viewport.width)
        await isAccessible(page)
      }
      await page.goto('/')
      await expect(page.getByLabel('Admin key')).toBeVisible()
      await look('sign-in')
      for (const { name, hash, key, then } of LOOKS) {
        await test.step(name, async () => {
          await page.goto('about:blank')
          await open(hash, key)
          await settled(page)
          await then?.(page)
          await look(name, name === 'overview')
        })
      }
    })
  })
}
