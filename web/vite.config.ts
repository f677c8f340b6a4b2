/* How the dashboard is built, served in development and tested. */
import { readFileSync } from 'node:fs'
import solid from 'vite-plugin-solid'
import { type Plugin, defineConfig } from 'vitest/config'

/** The fonts' licence goes where the fonts go; Vite gathers those of the code. */
const fontLicence: Plugin = {
  name: 'font-licence',
  apply: 'build',
  generateBundle() {
    const source = readFileSync(new URL('node_modules/@fontsource-variable/geist/LICENSE', import.meta.url), 'utf8')
    this.emitFile({ type: 'asset', fileName: 'assets/licence-fonts.txt', source })
  },
}

export default defineConfig({
  plugins: [solid(), fontLicence],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the policy for fonts and scripts allows files only
    license: { fileName: 'assets/licence-code.md' },
    reportCompressedSize: false,
  },
  server: {
    port: 8090,
    proxy: { '/admin': process.env.RELAY_URL ?? 'http://127.0.0.1:8091' },
  },
  test: { include: ['src/**/*.test.ts', 'tests/**/*.test.ts'], environment: 'node' },
})
