/* server.mjs - the built pages, served as the gateway serves them, beside a made-up admin API. Never part of the build.
 *
 *   node mock/server.mjs [--port 8091]
 *
 * The key signed in with chooses the scenario (world.mjs). A scenario's log is made when it is first asked for and ends
 * then; live requests come after it. */
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publicRow } from './log.mjs'
import { Refusal, SCENARIOS, makeWorld } from './world.mjs'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const option = process.argv.indexOf('--port')
const PORT = option < 0 ? 8091 : Number(process.argv[option + 1])
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' }
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const worlds = new Map()
const sessions = new Map()
let wrongKeys = []

function worldOf(scenario) {
  if (!worlds.has(scenario)) worlds.set(scenario, makeWorld(scenario, Date.now()))
  return worlds.get(scenario)
}

function send(res, status, body, headers = {}) {
  const text = body === null ? '' : JSON.stringify(body)
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
  res.end(text)
}

async function readJson(req) {
  let text = ''
  for await (const chunk of req) text += chunk
  return text === '' ? {} : JSON.parse(text)
}

function sessionOf(req) {
  const id = /relay_session=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1]
  return { id, session: sessions.get(id) }
}

async function signIn(req, res) {
  const body = await readJson(req)
  wrongKeys = wrongKeys.filter((at) => at > Date.now() - 10000)
  if (wrongKeys.length >= 8) throw new Refusal(429, 'rate_limit_requests', 'Too many wrong keys; try again in a few seconds.', null, { 'retry-after': '5' })
  const scenario = body.token === 'mock-token' ? 'usual' : SCENARIOS[body.key]
  if (scenario === undefined) {
    wrongKeys.push(Date.now())
    if (body.token !== undefined) throw new Refusal(401, 'invalid_token', 'This sign-in address has been used or is too old; relay dashboard prints another.')
    throw new Refusal(401, 'invalid_admin_key', 'This is not the admin key.')
  }
  const id = randomBytes(16).toString('hex')
  const session = { scenario, csrf: randomBytes(16).toString('hex'), expires_at: new Date(Date.now() + 43200000).toISOString(), version: '0.7.0' }
  sessions.set(id, session)
  send(res, 200, shown(session), { 'set-cookie': `relay_session=${id}; HttpOnly; SameSite=Strict; Path=/admin/v1` })
}

const shown = ({ csrf, expires_at, version }) => ({ csrf, expires_at, version })

function live(world, q, req, res) {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  res.write(': here\n\n')
  const fits = world.matches(q)
  const timer = setInterval(() => {
    const row = world.log.next()
    world.log.rows.push(row)
    if (fits(row)) res.write(`id: ${row.id}\nevent: request\ndata: ${JSON.stringify(publicRow(row))}\n\n`)
  }, 350)
  req.on('close', () => clearInterval(timer))
}

async function admin(req, res, path, q) {
  const { id, session } = sessionOf(req)
  if (path === 'session' && req.method === 'POST') return signIn(req, res)
  if (session === undefined) throw new Refusal(401, 'missing_admin_key', 'Sign in with the admin key.')
  if (req.method !== 'GET' && req.headers['x-relay-csrf'] !== session.csrf) throw new Refusal(403, 'csrf', 'The page is too old; load it again.')
  if (path === 'session' && req.method === 'GET') return send(res, 200, shown(session))
  if (path === 'session') {
    sessions.delete(id)
    return send(res, 204, null, { 'set-cookie': 'relay_session=; Max-Age=0; Path=/admin/v1' })
  }
  const w = worldOf(session.scenario)
  const [top, rest] = [path.split('/')[0], path.split('/').slice(1).join('/')]
  switch (`${req.method} ${top}`) {
    case 'GET usage': return send(res, 200, w.usage(q))
    case 'GET requests':
      return rest === 'live' ? live(w, q, req, res) : send(res, 200, rest === '' ? w.requests(q) : w.request(rest))
    case 'GET keys': return send(res, 200, w.keyPage(q))
    case 'POST keys': return send(res, 201, w.createKey(await readJson(req)))
    case 'PATCH keys': return send(res, 200, w.changeKey(rest, await readJson(req)))
    case 'DELETE keys': return send(res, 200, w.revokeKey(rest))
    case 'GET models': return send(res, 200, w.models())
    case 'POST route': return send(res, 200, w.route(await readJson(req)))
    case 'GET cache': return send(res, 200, w.cache())
    case 'DELETE cache': return send(res, 200, w.purge(rest !== '' ? 1 : q.get('scope') === 'all' ? Infinity : 37))
    case 'GET config': return send(res, 200, w.config())
    case 'POST config': return send(res, 200, w.reload())
    default: throw new Refusal(404, 'not_found', 'There is nothing here.')
  }
}

async function file(res, path) {
  const name = normalize(path === '/' ? '/index.html' : path)
  try {
    const body = await readFile(join(DIST, name))
    res.writeHead(200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream', 'content-security-policy': CSP,
      'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer',
      'cache-control': name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    })
    res.end(body)
  } catch {
    send(res, 404, { error: { message: 'There is nothing here.', type: null, param: null, code: 'not_found' } })
  }
}

const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://127.0.0.1')
  try {
    if (url.pathname.startsWith('/admin/v1/')) await admin(req, res, decodeURIComponent(url.pathname.slice(10)), url.searchParams)
    else await file(res, url.pathname)
  } catch (e) {
    if (!(e instanceof Refusal)) console.error(e)
    const status = e instanceof Refusal ? e.status : 500
    send(res, status, { error: { message: e.message, type: 'invalid_request_error', param: e.param ?? null, code: e.code ?? 'internal' } }, e.headers)
  }
})
server.keepAliveTimeout = 600000 // a connection that closes while a test asks on it is no trouble of the pages
server.listen(PORT, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port} (admin key: gla_mock_admin_key)`))
