/* load.ts - what a panel shows while it asks, when it has its answer, and when there is none. */
import { type Accessor, batch, createEffect, createSignal, onCleanup } from 'solid-js'
import { ApiError } from './client'
import { nowMs } from './time'

export interface Load<T> {
  /** The last good answer; it stays while the next one is asked for. */
  data: Accessor<T | undefined>
  error: Accessor<ApiError | undefined>
  loading: Accessor<boolean>
  /** Asks again and leaves what is shown. */
  again: () => void
  /** A page that has just changed something knows better than its last answer. */
  set: (data: T) => void
}

const asApiError = (e: unknown) =>
  e instanceof ApiError ? e : new ApiError(0, 'page', e instanceof Error ? e.message : String(e), null, null)

const AGAIN_S = 5

/** What fails and will pass by itself is tried again by itself, for as long as it is shown. */
export function againByItself(error: Accessor<ApiError | undefined>, again: () => void): void {
  createEffect(() => {
    const found = error()
    if (!found?.isPassing) return
    const timer = setTimeout(again, (found.retryAfter ?? AGAIN_S) * 1000)
    onCleanup(() => clearTimeout(timer))
  })
}

/** Asks whenever `what` changes and cancels what is out of date. Where asking anew fails, the answer from before stays, as long
 * as it is one to the same question: `same` says so of two; a moment of a clock is no other question. */
export function createLoad<K, T>(what: () => K | null, ask: (what: K, signal: AbortSignal) => Promise<T>,
  same: (a: K, b: K) => boolean = (a, b) => a === b || typeof a === 'number'): Load<T> {
  const [data, setData] = createSignal<T | undefined>()
  const [error, setError] = createSignal<ApiError | undefined>()
  const [loading, setLoading] = createSignal(true)
  const [round, setRound] = createSignal(0)
  let answered: { to: K } | null = null
  const again = () => setRound((n) => n + 1)

  createEffect(() => {
    const key = what()
    round()
    if (key === null) return
    const abort = new AbortController()
    setLoading(true)
    ask(key, abort.signal).then(
      (answer) => {
        if (abort.signal.aborted) return
        answered = { to: key }
        batch(() => {
          setData(() => answer)
          setError(undefined)
          setLoading(false)
        })
      },
      (e: unknown) => {
        if (abort.signal.aborted) return
        batch(() => {
          if (answered !== null && !same(answered.to, key)) setData(undefined)
          setError(asApiError(e))
          setLoading(false)
        })
      },
    )
    onCleanup(() => abort.abort())
  })
  againByItself(error, again)
  return { data, error, loading, again, set: (answer) => setData(() => answer) }
}

/** Something that is done when a button is pressed: its sentence when it fails, and whether it is under way. */
export function createAction<A extends unknown[]>(act: (...args: A) => Promise<void>) {
  const [error, setError] = createSignal<ApiError | undefined>()
  const [busy, setBusy] = createSignal(false)
  const run = async (...args: A) => {
    if (busy()) return
    setBusy(true)
    setError(undefined)
    try {
      await act(...args)
    } catch (e) {
      setError(asApiError(e))
    } finally {
      setBusy(false)
    }
  }
  return { run, error, busy, clear: () => setError(undefined) }
}

/** Time that goes on while the page is looked at: relative ranges follow it. */
export function createClock(everyMs: number): [Accessor<number>, () => void] {
  const [now, setNow] = createSignal(nowMs())
  const tick = () => setNow(nowMs())
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') tick()
  }, everyMs)
  onCleanup(() => clearInterval(timer))
  return [now, tick]
}
