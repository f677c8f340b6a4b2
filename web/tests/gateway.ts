/* gateway.ts - real programs for a test: relay-sim as providers, relay with its data in a folder of its own, and a wall clock
 * that can be set. RELAY_BIN_DIR holds the programs, RELAY_ROOT is the repository. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { endianness } from 'node:os'
import { join } from 'node:path'

const BIN = process.env.RELAY_BIN_DIR ?? ''
const ROOT = process.env.RELAY_ROOT ?? ''
const MODEL = join(ROOT, 'build/models/all-MiniLM-L6-v2')
/** How long to wait for what is sure to come. */
const SURELY_MS = 90_000

export async function waitFor<T>(what: () => Promise<T | null | undefined | false>, why: () => string): Promise<T> {
  for (const end = Date.now() + SURELY_MS; ;) {
    const found = await what()
    if (found) return found
    if (Date.now() > end) throw new Error(why())
    await new Promise((done) => setTimeout(done, 20))
  }
}

/** A child whose output is in a file, so that no pipe can fill up. It never outlives this process. */
class Program {
  readonly child: ChildProcess
  constructor(command: string, args: string[], readonly log: string, env: NodeJS.ProcessEnv, cwd: string) {
    const out = openSync(log, 'a')
    this.child = spawn(command, args, { env, cwd, stdio: ['ignore', out, out] })
    closeSync(out)
    process.once('exit', () => this.child.kill('SIGKILL'))
  }
  text = () => readFileSync(this.log, 'utf8')
  isRunning = () => this.child.exitCode === null && this.child.signalCode === null
  async stop(): Promise<void> {
    if (!this.isRunning()) return
    const ended = new Promise((done) => this.child.once('exit', done))
    this.child.kill('SIGTERM')
    await ended
  }
}

function cleanEnvironment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env
  // Nothing listens there: neither an Ollama of this machine nor the world has a part in the tests.
  return { PATH, HOME, TMPDIR, OLLAMA_HOST: 'http://127.0.0.1:1', HTTPS_PROXY: 'http://127.0.0.1:1', RELAY_CACHE_MODEL: 'none', ...more }
}

export interface Sim {
  url: string
  /** Changes its settings (relay-sim --fields). */
  set: (settings: object) => Promise<void>
  stop: () => Promise<void>
}

export async function startSim(folder: string, name: string, ...args: string[]): Promise<Sim> {
  const program = new Program(join(BIN, 'relay-sim'), ['--listen', '127.0.0.1:0', '--with-parent', ...args], join(folder, `${name}.log`), cleanEnvironment(), folder)
  const url = await waitFor(async () => /listening on (http:\/\/\S+)/.exec(program.text())?.[1], () => `relay-sim did not start: ${program.text()}`)
  const set = async (settings: object) => {
    const answer = await fetch(`${url}/__sim/config`, { method: 'POST', body: JSON.stringify(settings) })
    if (!answer.ok) throw new Error(await answer.text())
  }
  return { url, set, stop: () => program.stop() }
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer().once('error', failed).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => done(port))
    })
  })
}

/** The wall clock of a gateway, off by as many seconds as it is set to; its monotonic clock is the machine's. Linux only. */
export class Clock {
  private readonly file: string
  private readonly library: string
  constructor(folder: string) {
    this.file = join(folder, 'clock')
    this.library = join(folder, 'clock.so')
    writeFileSync(this.file, Buffer.alloc(8))
    execFileSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O1', '-o', this.library, join(ROOT, 'tests/wire/fake_clock.c')])
  }
  set(seconds: number): void {
    const bytes = Buffer.alloc(8)
    if (endianness() === 'LE') bytes.writeBigInt64LE(BigInt(seconds))
    else bytes.writeBigInt64BE(BigInt(seconds))
    const file = openSync(this.file, 'r+')
    writeSync(file, bytes)
    closeSync(file)
  }
  environment = () => ({ LD_PRELOAD: this.library, SOAK_CLOCK: this.file })
}

/** The embedding model of the semantic cache is here (scripts/model.sh). */
export const hasModel = () => existsSync(join(MODEL, '.complete'))

export const ADMIN_KEY = 'gla_browser_tests_0123456789abcdefghijklmnop'

export interface Asked {
  status: number
  id: string
  cache: string
}

export class Gateway {
  url = ''
  private program: Program | null = null
  private readonly file: string
  constructor(readonly folder: string, private readonly config: object) {
    mkdirSync(folder, { recursive: true })
    this.file = join(folder, 'relay.yaml')
  }
  /** With `clock`, its wall clock is that one. Another start keeps the data. */
  async start(clock?: Clock): Promise<this> {
    for (let tries = 0; ; tries++) {
      const port = this.url === '' ? await freePort() : Number(new URL(this.url).port)
      // JSON is YAML.
      const all = {
        server: { listen: `127.0.0.1:${port}`, workers: 2 }, admin: { key: ADMIN_KEY }, store: `sqlite:${this.folder}/data/relay.db`,
        limits: { rpm: 0, tpm: 0 }, ...this.config,
      }
      writeFileSync(this.file, JSON.stringify(all, null, 1))
      const program = new Program(join(BIN, 'relay'), ['serve', '--config', this.file], join(this.folder, 'relay.log'),
        cleanEnvironment({ ...(hasModel() ? { RELAY_CACHE_MODEL: MODEL } : {}), ...clock?.environment() }), this.folder)
      const isReady = async () => {
        if (!program.isRunning()) return 'ended'
        return fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok && 'ready', () => false as const)
      }
      const state = await waitFor(isReady, () => `relay did not start: ${program.text()}`)
      if (state === 'ready') {
        this.program = program
        this.url = `http://127.0.0.1:${port}`
        return this
      }
      // Somebody else may have taken the port meanwhile.
      if (tries === 3) throw new Error(`relay does not start: ${program.text()}`)
    }
  }
  async stop(): Promise<void> {
    await this.program?.stop()
    this.program = null
  }
  /** relay COMMAND...: what it prints. */
  run(...args: string[]): string {
    return execFileSync(join(BIN, 'relay'), [...args, '--config', this.file], { cwd: this.folder, env: cleanEnvironment(), encoding: 'utf8' }).trim()
  }
  get database(): string {
    return join(this.folder, 'data/relay.db')
  }
  get firstKey(): string {
    return readFileSync(join(this.folder, 'data/first-key'), 'utf8').trim()
  }
  storeGoesAway = () => renameSync(this.database, `${this.database}.away`)
  storeComesBack = () => renameSync(`${this.database}.away`, this.database)
  rewrite(change: (config: Record<string, unknown>) => void): void {
    const config = JSON.parse(readFileSync(this.file, 'utf8')) as Record<string, unknown>
    change(config)
    writeFileSync(this.file, JSON.stringify(config, null, 1))
  }
  breakFile = () => writeFileSync(this.file, 'cache: {exact: perhaps}\n')

  async admin<T>(path: string, method = 'GET', body?: object): Promise<T> {
    const answer = await fetch(`${this.url}/admin/v1/${path}`, {
      method, headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }, body: body ? JSON.stringify(body) : null,
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }
  /** One request of a client, read to its end. */
  async ask(key: string, model: string, prompt: string, more: object = {}, headers: Record<string, string> = {}): Promise<Asked> {
    const answer = await fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: prompt }], ...more }),
    })
    await answer.text()
    return { status: answer.status, id: answer.headers.get('x-relay-id') ?? '', cache: answer.headers.get('x-relay-cache') ?? '' }
  }
  /** Waits until the log has at least this many rows, which come a moment after the answers. */
  async hasRows(count: number): Promise<void> {
    interface Sum { total: { requests: number } }
    const range = 'from=2000-01-01T00:00:00Z&to=2200-01-01T00:00:00Z'
    const seen = async () => (await this.admin<Sum>(`usage?by=provider&${range}`)).total.requests
    await waitFor(async () => (await seen()) >= count, () => `not ${count} rows: ${readFileSync(join(this.folder, 'relay.log'), 'utf8')}`)
  }
}
