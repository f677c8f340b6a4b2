/* The pages in a real browser. RELAY_BIN_DIR has the programs of a gateway that is started and given traffic for the tests;
 * RELAY_URL and RELAY_ADMIN_KEY name one that has had some; without either it is the mock. */
import { defineConfig } from '@playwright/test'

const PORT = Number(process.env.MOCK_PORT ?? 8093)
const isMock = process.env.RELAY_BIN_DIR === undefined && process.env.RELAY_URL === undefined

export default defineConfig({
  testDir: 'tests',
  globalSetup: './tests/setup.ts',
  testMatch: '*.spec.ts',
  // Those with a mark of their own (@picture, @measure) are run when they are asked for.
  ...(process.env.ONLY ? { grep: new RegExp(process.env.ONLY) } : { grepInvert: /@/ }),
  outputDir: 'test-results/run',
  fullyParallel: true,
  workers: 2,
  // What passed only then is named at the end, and scripts/test.sh says how many there were.
  retries: 1,
  // What comes, comes much sooner; a machine can be busy.
  timeout: 600_000,
  expect: { timeout: 60_000 },
  reporter: [['list']],
  use: {
    actionTimeout: 60_000,
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
  ...(!isMock
    ? {}
    : { webServer: { command: `node mock/server.mjs --port ${PORT}`, url: `http://127.0.0.1:${PORT}/`, reuseExistingServer: false, timeout: 30_000 } }),
})
