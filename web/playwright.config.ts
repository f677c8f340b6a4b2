/* The pages in a real browser: against the mock, or, with RELAY_URL and RELAY_ADMIN_KEY, against a gateway that has had traffic. */
import { defineConfig } from '@playwright/test'

const PORT = Number(process.env.MOCK_PORT ?? 8093)

export default defineConfig({
  testDir: 'tests',
  testMatch: '*.spec.ts',
  outputDir: 'test-results/run',
  fullyParallel: true,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  reporter: [['list']],
  use: {
    baseURL: process.env.RELAY_URL ?? `http://127.0.0.1:${PORT}`,
    timezoneId: 'UTC',
    locale: 'en-GB',
    viewport: { width: 1360, height: 900 },
    trace: 'off',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--no-first-run', '--disable-default-apps', '--disable-domain-reliability',
      ],
    },
  },
  ...(process.env.RELAY_URL
    ? {}
    : { webServer: { command: `node mock/server.mjs --port ${PORT}`, url: `http://127.0.0.1:${PORT}/`, reuseExistingServer: false, timeout: 30_000 } }),
})
