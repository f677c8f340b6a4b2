/* Requests.tsx - the log: searched, or as it grows. */
import { For, Match, Show, Switch, batch, createEffect, createMemo, createSignal, on, onCleanup, untrack } from 'solid-js'
import type { Config, RequestPage, RequestRow } from '../api'
import { FILTERS, address, change, spanOf } from '../lib/address'
import { ApiError, type Query, get, listen } from '../lib/client'
import { againByItself, createClock, createLoad } from '../lib/load'
import { plural, showCount, showMs, showShort } from '../lib/numbers'
import { showMoment, toTime } from '../lib/time'
import { CacheTag, Money, ModelName, Page, Status, IconButton } from '../ui/bits'
import { Sheet } from '../ui/dialogs'
import { Filters, ParamSelect, RangePicker } from '../ui/filters'
import { Ahead } from '../ui/Ahead'
import { Icon } from '../ui/Icon'
import { FirstRequest, Nothing, Skeleton, Stale, Trouble } from '../ui/states'
import { RequestView } from './Request'

const PAGE = 50
const TAIL_MAX = 300
const TAIL_BEGIN = 30
/** A search that finds nothing goes on by itself this often before it asks. */
const ROUNDS = 20

const STATUSES = [
  { value: 'error', label: 'Failed (400 and above)' }, { value: '2xx', label: '2xx' }, { value: '4xx', label: '4xx' }, { value: '429', label: '429 limited' },
  { value: '402', label: '402 budget' }, { value: '499', label: '499 client left' }, { value: '5xx', label: '5xx' },
]
const KINDS = [
  { value: 'hit', label: 'Any hit' }, { value: 'exact', label: 'Exact' }, { value: 'semantic', label: 'Semantic' }, { value: 'shared', label: 'Shared' },
  { value: 'miss', label: 'Miss' }, { value: 'bypass', label: 'Bypass' },
]

const isLive = () => address().query.get('live') === '1'
const filtersOf = (): Query => Object.fromEntries([...FILTERS, 'status', 'cache'].map((name) => [name, address().query.get(name)]))
/** Changes when a filter does, and at nothing else of the address. */
const filterText = () => JSON.stringify(filtersOf())

export default function Requests() {
  const [now, tick] = createClock(3_600_000)
  const [jump, setJump] = createSignal('')
  const opened = createMemo(() => address().query.get('open'))
  const find = (e: Event) => {
    e.preventDefault()
    if (jump().trim() === '') return
    change({ open: jump().trim() })
    setJump('')
  }
  return (
    <Page title="Requests" tools={
      <form class="row" role="search" onSubmit={find}>
        <input class="input id-input" aria-label="Open a request by its id" placeholder="Open by id…" value={jump()} onInput={(e) => setJump(e.currentTarget.value)} />
        <div class="seg" role="group" aria-label="Which requests">
          <button type="button" aria-pressed={!isLive()} onClick={() => change({ live: null })}>Search</button>
          <button type="button" aria-pressed={isLive()} onClick={() => change({ live: 1 })}><span class="row"><i class={`dot ${isLive() ? 'dot-live' : ''}`} />Live</span></button>
        </div>
      </form>
    }>
      <div class="filters">
        <Filters />
        <ParamSelect name="status" label="Status" options={STATUSES} />
        <ParamSelect name="cache" label="Cache" options={KINDS} />
        <Show when={!isLive()}>
          <div class="row range">
            <RangePicker now={now()} />
            <IconButton icon="refresh" label="Refresh" onClick={tick} />
          </div>
        </Show>
      </div>
      <Show when={isLive()} fallback={<Search now={now()} />}><Tail /></Show>
      <Sheet open={opened() !== null} onClose={() => change({ open: null })} title="Request">
        <Show when={opened()} keyed>{(id) => <RequestView id={id} />}</Show>
      </Sheet>
    </Page>
  )
}

function Search(props: { now: number }) {
  const [rows, setRows] = createSignal<RequestRow[]>([])
  const [next, setNext] = createSignal<string | null>(null)
  const [searchedTo, setSearchedTo] = createSignal<string | null>(null)
  const [busy, setBusy] = createSignal(true)
  const [error, setError] = createSignal<ApiError | undefined>()
  let abort = new AbortController()

  const span = createMemo(() => spanOf(address().query, props.now), undefined, { equals: (a, b) => a.from === b.from && a.to === b.to })
  const what = createMemo(() => ({ span: span(), filters: JSON.parse(filterText()) as Query }), undefined, {
    equals: (a, b) => a.span === b.span && JSON.stringify(a.filters) === JSON.stringify(b.filters),
  })

  const ask = async (before: string | null) => {
    abort.abort()
    const mine = (abort = new AbortController())
    setBusy(true)
    setError(undefined)
    try {
      let cursor = before
      for (let round = 0; round < ROUNDS; round++) {
        const { span: s, filters } = what()
        const page = await get<RequestPage>('requests', { ...filters, from: toTime(s.from), to: toTime(s.to), limit: PAGE, before: cursor }, mine.signal)
        if (mine.signal.aborted) return
        batch(() => {
          setRows((known) => (before === null && round === 0 ? page.rows : [...known, ...page.rows]))
          setNext(page.next)
          setSearchedTo(page.searched_to)
        })
        cursor = page.next
        if (page.rows.length > 0 || cursor === null) break
      }
    } catch (e) {
      if (mine.signal.aborted) return
      setError(e instanceof ApiError ? e : new ApiError(0, 'page', String(e), null, null))
    }
    setBusy(false)
  }
  createEffect(on(what, () => {
    setRows([])
    untrack(() => ask(null))
  }))
  onCleanup(() => abort.abort())

  againByItself(error, () => ask(null))

  const isFirst = () => busy() && rows().length === 0 && searchedTo() === null
  return (
    <>
      <Ahead />
      <Show when={rows().length > 0}><Stale error={error()} again={() => ask(null)} /></Show>
      <div class="card">
        <Switch fallback={<Table rows={rows()} />}>
          <Match when={error() && rows().length === 0}><Trouble error={error()!} again={() => ask(null)} /></Match>
          <Match when={isFirst()}><div class="card-body card-top"><Skeleton rows={12} height={20} /></div></Match>
          <Match when={rows().length === 0 && !busy() && next() === null}><NoRows /></Match>
        </Switch>
        <Show when={!isFirst() && (rows().length > 0 || next() !== null)}>
          <div class="more" aria-live="polite">
            <span class="quiet">
              <Show when={next() !== null} fallback={`${plural(rows().length, 'request')}, all there are in this range`}>
                {plural(rows().length, 'request')}<Show when={searchedTo()}>{(to) => <>; searched back to {showMoment(Date.parse(to()))}</>}</Show>
              </Show>
            </span>
            <Show when={next() !== null}><button type="button" class="btn btn-s" disabled={busy()} onClick={() => ask(next())}>{busy() ? 'Looking further…' : 'Look further back'}</button></Show>
          </div>
        </Show>
      </div>
    </>
  )
}

function NoRows() {
  const first = createLoad(() => true, async (_k, signal) => {
    const [page, config] = await Promise.all([get<RequestPage>('requests', { limit: 1 }, signal), get<Config>('config', {}, signal)])
    return { isEmpty: page.rows.length === 0 && page.next === null, url: config.status.client_url }
  })
  return (
    <Show when={first.data()?.isEmpty} fallback={
      <Nothing title="No request matches"><p>Widen the range, or take a filter away.</p>
        <button type="button" class="btn" onClick={() => change({ range: '30d', from: null, to: null, key: null, model: null, provider: null, status: null, cache: null })}>Show all of the last 30 days</button>
      </Nothing>
    }><FirstRequest url={first.data()!.url} /></Show>
  )
}

function Tail() {
  const [rows, setRows] = createSignal<RequestRow[]>([])
  const [isOpen, setIsOpen] = createSignal(false)
  const [isPaused, setIsPaused] = createSignal(false)
  const [count, setCount] = createSignal(0)
  const [skipped, setSkipped] = createSignal(0)
  let waiting: RequestRow[] = []
  let frame = 0

  const flush = () => {
    frame = 0
    if (isPaused()) return
    const ids = new Set(waiting.map((row) => row.id))
    const arrived = waiting.reverse()
    waiting = []
    setRows((known) => [...arrived, ...known.filter((row) => !ids.has(row.id))].slice(0, TAIL_MAX))
  }
  createEffect(on(filterText, (text) => {
    setRows([])
    waiting = []
    const abort = new AbortController()
    // What has just ended stands below what comes; without it a quiet log would look dead.
    get<RequestPage>('requests', { ...(JSON.parse(text) as Query), limit: TAIL_BEGIN }, abort.signal).then((page) => {
      const known = new Set(rows().map((row) => row.id))
      setRows((list) => [...list, ...page.rows.filter((row) => !known.has(row.id))])
    }, () => undefined)
    const stop = listen('requests/live', JSON.parse(text) as Query, {
      request: (data) => {
        waiting.push(JSON.parse(data) as RequestRow)
        if (waiting.length > TAIL_MAX) waiting.shift()
        setCount((n) => n + 1)
        frame ||= requestAnimationFrame(flush)
      },
      skipped: (data) => setSkipped((n) => n + (JSON.parse(data) as { count: number }).count),
    }, setIsOpen)
    onCleanup(() => {
      abort.abort()
      stop()
    })
  }))
  onCleanup(() => cancelAnimationFrame(frame))
  const pause = () => {
    setIsPaused(!isPaused())
    if (!isPaused()) flush()
  }
  return (
    <div class="card">
      <div class="card-head">
        <span class="row grow" role="status">
          <i class={`dot ${isOpen() ? (isPaused() ? 'dot-warn' : 'dot-live') : ''}`} />
          {isOpen() ? (isPaused() ? 'Paused' : 'Live') : 'Connecting…'}
        </span>
        <span class="aside">{showCount(count())} since opened<Show when={skipped() > 0}>, {showCount(skipped())} skipped</Show></span>
        <button type="button" class="btn btn-s" onClick={pause}><Icon name={isPaused() ? 'play' : 'pause'} size={14} />{isPaused() ? 'Go on' : 'Pause'}</button>
      </div>
      <Show when={rows().length > 0} fallback={<div class="state"><p>The next requests appear here as they end.</p></div>}><Table rows={rows()} fresh /></Show>
    </div>
  )
}

function Table(props: { rows: RequestRow[]; fresh?: boolean }) {
  const openRow = (id: string) => change({ open: id })
  return (
    <div class="scroll" tabindex="0" role="region" aria-label="Requests">
      <table class="small log">
        <thead>
          <tr>
            <th scope="col">Time</th><th scope="col">Status</th><th scope="col">Key</th><th scope="col">Model</th><th scope="col">Route</th><th scope="col">Cache</th>
            <th scope="col" class="num">Tokens</th><th scope="col" class="num">First token</th><th scope="col" class="num">Whole</th><th scope="col" class="num">Cost</th>
          </tr>
        </thead>
        <tbody>
          <For each={props.rows}>
            {(row) => (
              <tr class="is-link" classList={{ 'is-new': props.fresh }} onClick={() => openRow(row.id)}>
                <td class="at"><button type="button" class="btn btn-text plain" aria-label={`Open the request of ${showMoment(Date.parse(row.at))}`} onClick={(e) => { e.stopPropagation(); openRow(row.id) }}>{showMoment(Date.parse(row.at))}</button></td>
                <td class="st"><Status row={row} /></td>
                <td class="ke clip max-s">{row.key_name ?? <span class="quiet">Relay</span>}</td>
                <td class="mo clip max-m"><Show when={row.provider} fallback={<span class="quiet">{row.error_code ?? row.model_asked}</span>}><ModelName provider={row.provider} model={row.model} /></Show></td>
                <td class="ro"><Show when={row.route !== 'cached'} fallback={<span class="quiet">–</span>}><span classList={{ warn: row.route === 'target-missed' || row.route === 'fallback', soft: row.route === 'chosen' || row.route === 'pinned', quiet: row.route === null }}>{row.route ?? '–'}</span></Show></td>
                <td class="ca"><CacheTag kind={row.cache} /></td>
                <td class="to num soft" title="prompt / answer">{showShort(row.prompt_tokens ?? 0)} / {showShort(row.completion_tokens ?? 0)}</td>
                <td class="tt num">{showMs(row.ttft_ms)}</td>
                <td class="la num">{showMs(row.latency_ms)}</td>
                <td class="co num"><Money usd={row.cost_usd} /></td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  )
}
