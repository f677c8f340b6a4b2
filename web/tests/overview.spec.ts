/* The overview: figures and charts are there, and ranges and filters live in the address. */
import { KEYS, expect, hasAll, isMock, settled, test } from './fixtures'

test('figures, charts and tables', async ({ page, open }) => {
  await open('#/overview?range=30d')
  await settled(page)
  for (const name of ['Requests', 'Spend', 'Saved', 'Errors', 'Cache hits', 'First token, p50']) await expect(page.locator('dt', { hasText: new RegExp(`^${name}$`) })).toBeVisible()
  await expect(page.locator('.plot canvas')).toHaveCount(4)
  await expect(page.getByRole('region', { name: 'Latency by model' }).locator('tbody tr')).not.toHaveCount(0)
  await expect(page.getByRole('region', { name: 'Top keys by spend' }).locator('tbody tr')).not.toHaveCount(0)
})

test('range and filters are in the address, and going back undoes them', async ({ page, open }) => {
  await open('#/overview?range=30d')
  await settled(page)
  const asked = page.waitForRequest((r) => r.url().includes('/usage?') && r.url().includes('by=hour'))
  await page.getByRole('button', { name: '7d', exact: true }).click()
  await expect(page).toHaveURL(/range=7d/)
  const range = new URL((await asked).url()).searchParams
  expect(Date.parse(range.get('to')!) - Date.parse(range.get('from')!)).toBe(7 * 24 * 3_600_000)
  const provider = page.getByRole('combobox', { name: 'Provider' })
  const name = await provider.locator('option').nth(1).getAttribute('value')
  await provider.selectOption(name!)
  await expect(page).toHaveURL(new RegExp(`provider=${name}`))
  await page.goBack()
  await expect(page).not.toHaveURL(/provider=/)
  await expect(provider).toHaveValue('')
  await page.goBack()
  await expect(page.getByRole('button', { name: '30d', exact: true })).toHaveAttribute('aria-pressed', 'true')
  await page.reload()
  await expect(page.getByRole('button', { name: '30d', exact: true })).toHaveAttribute('aria-pressed', 'true')
})

test('a key is found by a part of its name', async ({ page, open }) => {
  await open('#/overview?range=30d')
  await settled(page)
  const first = page.getByRole('region', { name: 'Top keys by spend' }).locator('tbody tr button').first()
  const name = (await first.textContent())!
  const picker = page.getByRole('combobox', { name: 'Key', exact: true })
  await picker.click()
  await picker.fill(name.slice(0, 5))
  await page.getByRole('option', { name }).first().click()
  await expect(page).toHaveURL(/key=/)
  await expect(page.getByRole('region', { name: 'Top keys by spend' }).locator('tbody tr')).toHaveCount(1)
  await page.getByRole('button', { name: 'Any key' }).click()
  await expect(page).not.toHaveURL(/key=/)
})

test('charts can be read by keyboard, and as tables', async ({ page, open }) => {
  await open('#/overview?range=30d')
  await settled(page)
  const chart = page.getByRole('group', { name: /^Requests per/ })
  await chart.focus()
  await page.keyboard.press('End')
  await expect(chart.locator('[aria-live]')).toContainText('Answered')
  await page.keyboard.press('ArrowLeft')
  await expect(chart.locator('.tip')).toBeVisible()
  await page.getByRole('button', { name: /^Requests per.*as a table/ }).click()
  await expect(page.getByRole('region', { name: /^Requests per/ }).getByRole('row').nth(1)).toBeVisible()
})

test('a part of a chart becomes the range', async ({ page, open }) => {
  await open('#/overview?range=30d')
  await settled(page)
  const plot = page.locator('.plot .u-over').first()
  const box = (await plot.boundingBox())!
  await page.mouse.move(box.x + box.width * 0.3, box.y + 40)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 4 })
  await page.mouse.up()
  await expect(page).toHaveURL(/range=custom&from=.*&to=/)
})

test('a range before the first row', async ({ page, open }) => {
  await open('#/overview?range=custom&from=2019-01-01T00:00:00Z&to=2019-01-02T00:00:00Z')
  await expect(page.getByText('No requests in this range')).toBeVisible()
  await page.getByRole('button', { name: /last 30 days/ }).click()
  await expect(page).toHaveURL(/range=30d/)
})

test('names with markup in them are text', async ({ page, open }) => {
  test.skip(!hasAll, 'such a key may not be there')
  await open('#/overview?range=30d')
  await expect(page.getByRole('button', { name: '<script>alert(1)</script>' })).toBeVisible()
})

test('an empty log says how to begin', async ({ page, open }) => {
  test.skip(!isMock, 'of the mock')
  await open('#/overview', KEYS.empty)
  await expect(page.getByText('No requests yet')).toBeVisible()
  await expect(page.getByText('/v1/chat/completions')).toBeVisible()
})

test('one row', async ({ page, open }) => {
  test.skip(!isMock, 'of the mock')
  await open('#/overview', KEYS.one)
  await settled(page)
  await expect(page.locator('dd.value').first()).toHaveText('1')
  await expect(page.locator('.plot canvas')).toHaveCount(4)
})

test('unknown cost is never shown as nothing', async ({ page, open }) => {
  test.skip(!hasAll, 'a model without a price may not be there')
  await open('#/overview?range=30d&model=my-vllm%2Facme-support-v3')
  await expect(page.locator('.stats')).toContainText('of unknown cost')
  await open('#/requests?range=30d&status=200&cache=miss&model=my-vllm%2Facme-support-v3')
  await expect(page.locator('tbody tr').first().locator('td').last()).toHaveText('unknown')
})

test('a store that is away, and other trouble', async ({ page, open }) => {
  test.skip(!isMock, 'of the mock')
  for (const hash of ['#/overview', '#/requests', '#/keys', '#/models', '#/cache']) {
    await open(hash, KEYS.away)
    await expect(page.getByRole('alert')).toContainText('The store is away')
  }
  await open('#/keys', KEYS.broken)
  await expect(page.getByRole('alert')).toContainText('disk I/O error')
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible()
})
