/* client.ts - the one way to the admin API, and the session. */
import { createSignal } from 'solid-js'
import type { ApiErrorBody, Session, SignIn } from '../api'
import { learnClock } from './time'

const BASE = '/admin/v1/'

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null,
    /** Seconds, where the server said. */
    readonly retryAfter: number | null,
  ) {
    super(message)
  }
  get isStoreAway() {
    return this.status === 503 && this.code === 'store_away'
  }
  /** It will pass without anybody doing anything here. */
  get isPassing() {
    return this.isStoreAway || this.code === 'unreachable'
  }
}

/** undefined: not asked yet; null: signed out. */
const [session, setSession] = createSignal<Session | null | undefined>(undefined)
export { session }

export type Query = Record<string, string | number | null | undefined>

function addressOf(path: string, query?: Query): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== '') given.set(name, String(value))
  }
  const text = given.toString()
  return BASE + path + (text === '' ? '' : `?${text}`)
}

async function errorOf(answer: Response): Promise<ApiError> {
  const wait = Number(answer.headers.get('retry-after') ?? Number.NaN)
  const retryAfter = Number.isFinite(wait) ? wait : null
  try {
    const { error } = (await answer.json()) as ApiErrorBody
    return new ApiError(answer.status, error.code ?? '', error.message, error.param, retryAfter)
  } catch {
    return new ApiError(answer.status, '', `The gateway answered ${answer.status}.`, null, retryAfter)
  }
}

async function call<T>(method: string, path: string, query?: Query, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  const known = session()
  if (method !== 'GET' && known) headers['x-relay-csrf'] = known.csrf
  let answer: Response
  const asked = Date.now()
  try {
    answer = await fetch(addressOf(path, query), {
      method, headers, credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: signal ?? null,
      body: body === undefined ? null : JSON.stringify(body),
    })
  } catch (e) {
    if (signal?.aborted) throw e
    throw new ApiError(0, 'unreachable', 'The gateway does not answer.', null, null)
  }
  learnClock(Date.parse(answer.headers.get('date') ?? ''), asked, Date.now())
  if (answer.ok) return (answer.status === 204 ? null : await answer.json()) as T
  const error = await errorOf(answer)
  if (error.status === 401 && path !== 'session') setSession(null)
  throw error
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal) => call<T>('GET', path, query, undefined, signal)
export const post = <T>(path: string, body: unknown) => call<T>('POST', path, undefined, body)
export const patch = <T>(path: string, body: unknown) => call<T>('PATCH', path, undefined, body)
export const remove = <T>(path: string, query?: Query) => call<T>('DELETE', path, query)

/** An answer to who is signed in tells nothing when somebody has signed in since it was asked. */
let signIns = 0

/** Who is signed in? A gateway that does not answer is an error, not a sign-out. */
export async function askSession(): Promise<void> {
  const before = signIns
  let found: Session | null = null
  try {
    found = await get<Session>('session')
  } catch (e) {
    if (!(e instanceof ApiError) || e.status !== 401) throw e
  }
  if (before === signIns) setSession(found)
}

export async function signIn(how: SignIn): Promise<void> {
  const made = await post<Session>('session', how)
  signIns++
  setSession(made)
}

export async function signOut(): Promise<void> {
  await remove('session')
  setSession(null)
}

const LISTEN_AGAIN_MS = 3000

/** Server-sent events. The browser connects again by itself where the connection broke, and we where it was refused; a session
 * that has ended leads to the sign-in page. */
export function listen(path: string, query: Query, on: Record<string, (data: string) => void>, state: (open: boolean) => void): () => void {
  let source: EventSource
  let again: ReturnType<typeof setTimeout> | undefined
  const open = () => {
    source = new EventSource(addressOf(path, query))
    for (const [name, handle] of Object.entries(on)) source.addEventListener(name, (e) => handle((e as MessageEvent<string>).data))
    source.onopen = () => state(true)
    source.onerror = () => {
      state(false)
      if (source.readyState !== EventSource.CLOSED) return
      askSession().catch(() => undefined)
      again = setTimeout(open, LISTEN_AGAIN_MS)
    }
  }
  open()
  return () => {
    clearTimeout(again)
    source.close()
  }
}
