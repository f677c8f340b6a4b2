/* Every page in dark, light and on a phone: axe finds nothing, nothing is wider than the screen, and there is a picture in
 * test-results/screens (or SCREENS). */
import AxeBuilder from '@axe-core/playwright'
import { type Page } from '@playwright/test'
import { KEYS, expect, isMock, settled, test } from './fixtures'

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
    for (const look of LOOKS) {
      test(look.name, async ({ page, open }) => {
        await open(look.hash, look.key)
        await settled(page)
        await look.then?.(page)
        await page.evaluate(() => document.fonts.ready)
        await page.screenshot({ path: `${SCREENS}/${look.name}-${size.name}.png`, fullPage: look.name === 'overview', animations: 'disabled' })
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(size.viewport.width)
        const found = await new AxeBuilder({ page }).analyze()
        expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)).toEqual([])
      })
    }
    test('sign-in', async ({ page }) => {
      await page.goto('/')
      await expect(page.getByLabel('Admin key')).toBeVisible()
      await page.screenshot({ path: `${SCREENS}/sign-in-${size.name}.png` })
      const found = await new AxeBuilder({ page }).analyze()
      expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)).toEqual([])
    })
  })
}
