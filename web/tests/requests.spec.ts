/* The request log: searching, following, one request in detail. */
import { expect, isMock, settled, test } from './fixtures'

test('the log is searched, page after page', async ({ page, open }) => {
  await open('#/requests?range=30d')
  await settled(page)
  const rows = page.locator('table.log tbody tr')
  await expect(rows.first()).toBeVisible()
  const before = await rows.count()
  const further = page.getByRole('button', { name: 'Look further back' })
  if (await further.isVisible()) {
    await further.click()
    await expect.poll(() => rows.count()).toBeGreaterThan(before)
  }
  await page.getByRole('combobox', { name: 'Status' }).selectOption('2xx')
  await expect(page).toHaveURL(/status=2xx/)
  await expect(rows.first().locator('.st')).toHaveText(/^2/)
})

test('a request opened: steps, decision, dry run', async ({ page, open }) => {
  await open('#/requests?range=30d&status=2xx&cache=miss')
  await settled(page)
  await page.locator('table.log tbody tr').first().getByRole('button').click()
  const sheet = page.getByRole('dialog', { name: 'Request' })
  await expect(sheet.locator('.step')).toHaveCount(6)
  for (const name of ['Authenticate', 'Limit', 'Route', 'Cache', 'Answer', 'Account']) await expect(sheet.getByRole('listitem').filter({ hasText: name }).first()).toBeVisible()
  await expect(page).toHaveURL(/open=/)
  await sheet.getByRole('button', { name: /Dry run/ }).click()
  await expect(sheet.getByRole('region', { name: 'All candidates' }).locator('tbody tr').first()).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(sheet).toBeHidden()
  await expect(page).not.toHaveURL(/open=/)
  await page.goBack()
  await expect(sheet).toBeVisible()
})

test('a hit says where it came from, and its answer can be purged', async ({ page, open }) => {
  await open('#/requests?range=30d&cache=exact')
  await settled(page)
  await page.locator('table.log tbody tr').first().getByRole('button').click()
  const sheet = page.getByRole('dialog', { name: 'Request' })
  await sheet.getByRole('button', { name: 'Purge this answer' }).click()
  await page.getByRole('dialog', { name: 'Purge this answer?' }).getByRole('button', { name: 'Purge', exact: true }).click()
  await expect(page.locator('.toast')).toBeVisible()
  const source = await sheet.locator('a code').first().textContent()
  await sheet.locator('a').first().click()
  await expect(page).toHaveURL(new RegExp(`open=${source}`))
})

test('an id that is not there', async ({ page, open }) => {
  await open('#/requests')
  await page.getByLabel('Open a request by its id').fill('0190b5f0-0000-7000-8000-000000000000')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('dialog').getByRole('alert')).toBeVisible()
})

test('attempts of a request that fell back', async ({ page, open }) => {
  test.skip(!isMock, 'the mock has some')
  await open('#/requests?range=30d&status=5xx')
  await settled(page)
  await page.locator('table.log tbody tr').first().getByRole('button').click()
  await expect(page.getByRole('region', { name: 'Attempts' }).locator('tbody tr')).toHaveCount(3)
})

test('the tail is live, and can be paused', async ({ page, open }) => {
  test.skip(!isMock, 'the mock sends requests by itself')
  await open('#/requests?live=1')
  const rows = page.locator('table.log tbody tr')
  const arrived = page.locator('.card-head .aside')
  await expect(arrived).toHaveText(/^[1-9]\d* since opened/)
  const ids = await rows.count()
  expect(ids).toBeGreaterThan(2)
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect(page.getByText('Paused')).toBeVisible()
  await page.getByRole('button', { name: 'Go on' }).click()
  await rows.first().getByRole('button').click()
  await expect(page.getByRole('dialog', { name: 'Request' }).locator('.step')).toHaveCount(6)
})
