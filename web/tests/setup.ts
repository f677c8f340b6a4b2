/* setup.ts - with RELAY_BIN_DIR, the tests' gateway: started before them, stopped after them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ADMIN_KEY } from './gateway'
import { BUSY_DAY, MONTH, makeWorld } from './traffic'

export default async function setup() {
  if (process.env.RELAY_BIN_DIR === undefined || process.env.RELAY_URL !== undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'relay-browser-'))
  const world = await makeWorld(folder, process.env.PICTURE === undefined ? MONTH : BUSY_DAY)
  Object.assign(process.env, {
    RELAY_URL: world.gateway.url, RELAY_ADMIN_KEY: ADMIN_KEY, RELAY_DATABASE: world.gateway.database, RELAY_FOLDER: folder,
    RELAY_CLIENT_KEY: world.keys.get('support-bot')!, RELAY_CONFIG: join(world.gateway.folder, 'relay.yaml'),
  })
  return async () => {
    await world.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
