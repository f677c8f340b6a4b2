/* Run when asked for: the README's picture, and how long the first page takes. */
import { expect, settled, test } from './fixtures'

test('@picture', async ({ browser, open, baseURL, page }) => {
  await open('#/settings')
  const context = await browser.newContext({ baseURL: baseURL!, colorScheme: 'dark', viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', storageState: await page.context().storageState() })
  const shown = await context.newPage()
  await shown.goto('/#/overview')
  await expect(shown.locator('.plot canvas')).toHaveCount(4)
  await settled(shown)
  await shown.evaluate(() => document.fonts.ready)
  await shown.screenshot({ path: process.env.PICTURE!, fullPage: true, animations: 'disabled' })
  await context.close()
})

test('@measure', async ({ browser, open, baseURL, page }) => {
  await open('#/settings')
  const times: number[] = []
  for (let i = 0; i < 9; i++) {
    // A context of its own has an empty cache.
    const context = await browser.newContext({ baseURL: baseURL!, storageState: await page.context().storageState() })
    const first = await context.newPage()
    await first.goto('/#/overview')
    times.push(await first.evaluate(() => new Promise<number>((done) => {
      const look = () => (document.querySelector('.stats .value')?.textContent && document.querySelectorAll('.plot canvas').length === 4 ? done(performance.now()) : requestAnimationFrame(look))
      look()
    })))
    await context.close()
  }
  times.sort((a, b) => a - b)
  console.log(`first page, from navigation to its numbers and charts, nothing cached: median ${Math.round(times[4]!)} ms of ${times.map(Math.round).join(', ')}`)
})
