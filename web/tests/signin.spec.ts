/* Signing in and out. */
import { KEYS, expect, isMock, test } from './fixtures'

test('a wrong key is refused with a sentence, the right one lets in, and signing out ends it', async ({ page }) => {
  await page.goto('/')
  const field = page.getByLabel('Admin key')
  await expect(field).toBeFocused()
  await field.fill('gla_this_is_not_the_key')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await expect(page.getByRole('alert')).toBeVisible()
  await field.fill(KEYS.usual)
  await field.press('Enter')
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible()
  const cookie = (await page.context().cookies()).find((c) => c.name.includes('session'))
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' })
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByLabel('Admin key')).toBeVisible()
  expect((await page.request.get('/admin/v1/keys')).status()).toBe(401)
})

test('a session that has ended leads back to the sign-in page', async ({ page, open }) => {
  await open('#/models')
  await page.context().clearCookies()
  await page.getByRole('link', { name: 'Keys' }).click()
  await expect(page.getByLabel('Admin key')).toBeVisible()
})

test('nothing changes without the CSRF token', async ({ page, open }) => {
  await open('#/keys')
  expect((await page.request.post('/admin/v1/keys', { data: { name: 'forged' } })).status()).toBe(403)
})

test('an address that signs in, whichever answer comes first', async ({ page }) => {
  test.skip(!isMock, 'relay dashboard prints it')
  await page.route('**/admin/v1/session', async (route) => {
    const answer = await route.fetch()
    if (route.request().method() === 'GET') await new Promise((done) => setTimeout(done, 500))
    await route.fulfill({ response: answer })
  })
  const asked = page.waitForResponse((r) => r.url().endsWith('/session') && r.request().method() === 'GET')
  await page.goto('/#/enter?token=mock-token')
  expect((await asked).status()).toBe(401)
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible()
})

test('an address that signs in once', async ({ page }) => {
  test.skip(!isMock, 'relay dashboard prints it')
  await page.goto('/#/enter?token=mock-token')
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible()
  expect(page.url()).not.toContain('token')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.goto('/#/enter?token=used')
  await expect(page.getByRole('alert')).toContainText('used or is too old')
})
