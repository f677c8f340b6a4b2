/* Overview.tsx - what was asked, what it cost, what was saved, how quick it was. */
import { For, Show, createMemo } from 'solid-js'
import type { CacheState, Config, Usage, UsageRow } from '../api'
import { FILTERS, address, change, makeAddress, sharedOf, spanOf } from '../lib/address'
import { get } from '../lib/client'
import { type Load, createClock, createLoad } from '../lib/load'
import { lengthOf, parseUsd, showShareOfUsd, showUsd, showUsdText, sumUsd } from '../lib/money'
import { plural, showCount, showMs, showShare, showShort } from '../lib/numbers'
import { type Span, toTime } from '../lib/time'
import { type Timed, askTimed } from '../lib/usage'
import { Card, IconButton, Meter, ModelName, Money, Page, Stat } from '../ui/bits'
import { type Series, TimeChart } from '../ui/Chart'
import { Filters, RangePicker } from '../ui/filters'
import { Ahead } from '../ui/Ahead'
import { FirstRequest, Loaded, Nothing, Skeleton, Stale, Trouble } from '../ui/states'

interface What {
  /** The range as it is asked for, which stays the same while time goes on, and the filters. */
  name: string
  span: Span
  filters: Record<string, string | null>
}

const sameWhat = (a: What, b: What) => a.name === b.name

const REFRESH_MS = 30_000
const MODELS_SHOWN = 12
const KEYS_SHOWN = 10

export default function Overview() {
  const [now, tick] = createClock(REFRESH_MS)
  const what = createMemo<What>(() => {
    const { query } = address()
    return { name: sharedOf(query).toString(), span: spanOf(query, now()), filters: Object.fromEntries(FILTERS.map((name) => [name, query.get(name)])) }
  })
  const isFiltered = () => FILTERS.some((name) => what().filters[name])
  const grouped = (by: 'provider' | 'model' | 'key', limit: number) =>
    createLoad(what, (w, signal) => get<Usage>('usage', { ...w.filters, from: toTime(w.span.from), to: toTime(w.span.to), by, limit }, signal), sameWhat)
  const timed = createLoad(what, (w, signal) => askTimed(w.span, w.filters, signal), sameWhat)
  const providers = grouped('provider', 20)
  const models = grouped('model', MODELS_SHOWN)
  const keys = grouped('key', KEYS_SHOWN)
  const cache = createLoad(what, (_w, signal) => get<CacheState>('cache', {}, signal), () => true)
  const isEmpty = () => timed.data()?.total.requests === 0
  return (
    <Page title="Overview" tools={
      <div class="filters">
        <Filters />
        <div class="row range">
          <RangePicker now={now()} />
          <IconButton icon="refresh" label="Refresh" onClick={tick} />
        </div>
      </div>
    }>
      <Show when={timed.data() || !timed.error()} fallback={<div class="card"><Trouble error={timed.error()!} again={tick} /></div>}>
        <Show when={timed.data()} fallback={<Waiting />}>
          {(t) => (
            <>
              <Stale error={timed.error()} again={tick} />
              <Ahead />
              <Show when={!isEmpty()} fallback={<Empty filtered={isFiltered()} />}>
                <Figures of={t()} cache={cache} />
                <Charts of={t()} />
                <div class="grid-23">
                  <Providers of={providers} />
                  <Keys of={keys} total={t().total.cost_usd} />
                </div>
                <Models of={models} />
              </Show>
            </>
          )}
        </Show>
      </Show>
    </Page>
  )
}

function Waiting() {
  return (
    <>
      <div class="stats"><For each={Array.from({ length: 6 })}>{() => <div><Skeleton rows={2} height={18} /></div>}</For></div>
      <div class="grid-2"><For each={Array.from({ length: 4 })}>{() => <div class="card"><div class="card-body"><Skeleton height={228} /></div></div>}</For></div>
    </>
  )
}

/** Nothing in this range: of a log that has rows elsewhere, or of one that has none at all. */
function Empty(props: { filtered: boolean }) {
  const any = createLoad(() => true, async (_k, signal) => {
    const [page, config] = await Promise.all([get<{ rows: unknown[]; next: string | null }>('requests', { limit: 1 }, signal), get<Config>('config', {}, signal)])
    return { hasRows: page.rows.length > 0 || page.next !== null, url: config.status.client_url }
  })
  return (
    <div class="card">
      <Loaded of={any} rows={4}>
        {(found) => (
          <Show when={found().hasRows} fallback={<FirstRequest url={found().url} />}>
            <Nothing title="No requests in this range">
              <p>{props.filtered ? 'None that these filters let through.' : 'The log has requests at other times.'}</p>
              <button type="button" class="btn" onClick={() => change({ range: '30d', from: null, to: null, key: null, model: null, provider: null })}>Show all of the last 30 days</button>
            </Nothing>
          </Show>
        )}
      </Loaded>
    </div>
  )
}

function Figures(props: { of: Timed; cache: Load<CacheState> }) {
  const total = () => props.of.total
  const saved = () => sumUsd([total().cache_saved_usd, total().routing_saved_usd])
  const would = () => sumUsd([total().cost_usd, total().cache_saved_usd, total().routing_saved_usd])
  const audits = () => props.cache.data()?.audits
  const percent = (share: number | null) => (share === null ? '–' : `${(share * 100).toFixed(2)}%`)
  return (
    <dl class="stats">
      <Stat name="Requests" value={showCount(total().requests)} note={`${showShort(total().prompt_tokens)} tokens in, ${showShort(total().completion_tokens)} out`} />
      <Stat name="Spend" value={<Money usd={total().cost_usd} />}
        note={<Show when={total().cost_unknown > 0} fallback="every cost is known"><span class="warn">+ {showCount(total().cost_unknown)} of unknown cost</span></Show>} />
      <Stat name="Saved" value={<>{showUsd(saved())} <small>{showShareOfUsd(saved(), would())}</small></>}
        note={<><span class="part">cache {showUsdText(total().cache_saved_usd)}</span> <span class="part">routing {showUsdText(total().routing_saved_usd)}</span></>} />
      <Stat name="Errors" value={<span classList={{ bad: total().errors / total().requests > 0.05 }}>{showShare(total().errors, total().requests)}</span>}
        note={<a class="link" href={makeAddress('requests', sharedOf(address().query), { status: 'error' })}>{plural(total().errors, 'request')}</a>} />
      <Stat name="Cache hits" value={showShare(total().cache_hits, total().requests)}
        note={<Show when={(audits()?.judged ?? 0) > 0} fallback={plural(total().cache_hits, 'hit')}>
          <span title={`${audits()!.different} of the last ${audits()!.judged} audited answers differ; 95 % interval`}>
            {percent(audits()!.share)} differ ({percent(audits()!.low)}–{percent(audits()!.high)}, n {showCount(audits()!.judged)})
          </span>
        </Show>} />
      <Stat name="First token, p50" value={<>{showMs(total().ttft_ms.p50)} <small>p95 {showMs(total().ttft_ms.p95)}</small></>}
        note={`whole ${showMs(total().latency_ms.p50)}, p95 ${showMs(total().latency_ms.p95)}`} />
    </dl>
  )
}

const axisUsd = (v: number) => (v === 0 ? '$0' : Math.abs(v) >= 1 ? `${v < 0 ? '-' : ''}$${showShort(Math.round(Math.abs(v) * 10) / 10)}` : `${v < 0 ? '-' : ''}$${Number(Math.abs(v).toPrecision(2))}`)
const axisCount = showShort
const axisMs = (v: number) => (v === 0 ? '0' : v >= 1000 ? `${Number((v / 1000).toFixed(1))} s` : `${Math.round(v)} ms`)

function Charts(props: { of: Timed }) {
  const rows = () => props.of.rows
  const usd = (field: 'cost_usd' | 'cache_saved_usd' | 'routing_saved_usd') => rows().map((r) => lengthOf(parseUsd(r?.[field] ?? '0')))
  const showRowUsd = (field: 'cost_usd' | 'cache_saved_usd' | 'routing_saved_usd') => (i: number) => showUsdText(rows()[i]?.[field] ?? '0')
  const per = () => ({ minute: 'per minute', hour: 'per hour', day: 'per day (UTC)' })[props.of.by]
  const zoom = (from: number, to: number) => change({ range: 'custom', from: toTime(from), to: toTime(to) })
  const money = (): Series[] => [
    { name: 'Spend', kind: 'bar', colour: 'spend', values: usd('cost_usd'), show: showRowUsd('cost_usd') },
    { name: 'Saved by cache', kind: 'bar', colour: 'cache', values: usd('cache_saved_usd'), show: showRowUsd('cache_saved_usd') },
    { name: 'Saved by routing', kind: 'bar', colour: 'route', values: usd('routing_saved_usd'), show: showRowUsd('routing_saved_usd') },
  ]
  const count = (): Series[] => [
    { name: 'Failed', kind: 'bar', colour: 'bad', values: rows().map((r) => r?.errors ?? 0),
      show: (i) => `${showCount(rows()[i]?.errors ?? 0)} (${showShare(rows()[i]?.errors ?? 0, rows()[i]?.requests ?? 0)})` },
    { name: 'From the cache', kind: 'bar', colour: 'cache', values: rows().map((r) => r?.cache_hits ?? 0),
      show: (i) => `${showCount(rows()[i]?.cache_hits ?? 0)} (${showShare(rows()[i]?.cache_hits ?? 0, rows()[i]?.requests ?? 0)})` },
    { name: 'Answered', kind: 'bar', colour: 'spend', values: rows().map((r) => (r ? Math.max(0, r.requests - r.errors - r.cache_hits) : 0)),
      show: (i) => showCount(Math.max(0, (rows()[i]?.requests ?? 0) - (rows()[i]?.errors ?? 0) - (rows()[i]?.cache_hits ?? 0))) },
  ]
  const spread = (field: 'ttft_ms' | 'latency_ms'): Series[] => [
    { name: 'p50', kind: 'line', colour: 'spend', values: rows().map((r) => r?.[field].p50 ?? null), show: (i) => showMs(rows()[i]?.[field].p50) },
    { name: 'p95', kind: 'line', colour: 'accent-2', values: rows().map((r) => r?.[field].p95 ?? null), show: (i) => showMs(rows()[i]?.[field].p95) },
  ]
  const common = () => ({ times: props.of.times, by: props.of.by, onZoom: zoom })
  return (
    <div class="grid-2">
      <TimeChart {...common()} title={`Spend and savings ${per()}`} series={money()} axis={axisUsd} />
      <TimeChart {...common()} title={`Requests ${per()}`} series={count()} axis={axisCount} whole />
      <TimeChart {...common()} title="Time to the first token" series={spread('ttft_ms')} axis={axisMs} />
      <TimeChart {...common()} title="Time to the whole answer" series={spread('latency_ms')} axis={axisMs} />
    </div>
  )
}

function Providers(props: { of: Load<Usage> }) {
  return (
    <Card title="Providers" aside="requests / spend">
      <Loaded of={props.of} part>
        {(u) => (
          <ul class="bars">
            <For each={[...u().rows].sort((a, b) => b.requests - a.requests)}>
              {(row) => (
                <li>
                  <Show when={row.provider} fallback={<span class="quiet">none (refused before)</span>}>
                    <button type="button" class="btn btn-text plain clip" title="Only this provider" onClick={() => change({ provider: row.provider })}>{row.provider}</button>
                  </Show>
                  <span>{showShort(row.requests)} / <Spend of={row} /></span>
                  <span class="share">{showShare(row.requests, u().total.requests)}</span>
                  <Meter share={row.requests / u().total.requests} />
                </li>
              )}
            </For>
          </ul>
        )}
      </Loaded>
    </Card>
  )
}

/** What is known of a group's spend, and that there is more where that is so. */
function Spend(props: { of: UsageRow }) {
  const isUnknown = () => props.of.cost_unknown > 0 && props.of.cost_unknown === props.of.requests
  return (
    <Show when={!isUnknown()} fallback={<Money usd={null} />}>
      <Money usd={props.of.cost_usd} />
      <Show when={props.of.cost_unknown > 0}>
        <span class="warn" title={`${plural(props.of.cost_unknown, 'request')} of unknown cost`}> + ?<span class="sr"> and {plural(props.of.cost_unknown, 'request')} of unknown cost</span></span>
      </Show>
    </Show>
  )
}

/** p50 to p95 on a scale that all rows share, logarithmic: latencies differ by orders of magnitude. */
function SpreadLine(props: { p50: number | null; p95: number | null; least: number; most: number }) {
  const x = (ms: number) => {
    const range = Math.log(props.most) - Math.log(props.least)
    return `${range > 0 ? 2 + ((Math.log(Math.max(ms, props.least)) - Math.log(props.least)) / range) * 96 : 50}%`
  }
  return (
    <svg class="spread" aria-hidden="true">
      <line class="rail" x1="0" x2="100%" y1="7" y2="7" />
      <Show when={props.p50 !== null && props.p95 !== null}>
        <line x1={x(props.p50!)} x2={x(props.p95!)} y1="7" y2="7" />
        <circle cx={x(props.p50!)} cy="7" r="3.5" />
      </Show>
    </svg>
  )
}

function Models(props: { of: Load<Usage> }) {
  const bounds = createMemo(() => {
    const all = (props.of.data()?.rows ?? []).flatMap((r) => [r.ttft_ms.p50, r.ttft_ms.p95, r.latency_ms.p50, r.latency_ms.p95]).filter((v): v is number => v !== null && v > 0)
    return { least: Math.max(0.1, Math.min(...all)), most: Math.max(...all) }
  })
  return (
    <Card title="Latency by model" flush aside={<Show when={props.of.data()}>{(u) => <>{u().count > MODELS_SHOWN ? `${MODELS_SHOWN} of ${u().count}, by spend` : null}</>}</Show>}>
      <Loaded of={props.of} part>
        {(u) => (
          <div class="scroll" tabindex="0" role="region" aria-label="Latency by model">
            <table class="small">
              <thead>
                <tr>
                  <th scope="col">Model</th><th scope="col" class="num">Requests</th>
                  <th scope="col" class="num hide-s">Spend</th>
                  <th scope="col" class="spread-col"><span class="sr">First token, drawn</span></th>
                  <th scope="col" class="num">First token p50</th><th scope="col" class="num">p95</th>
                  <th scope="col" class="spread-col"><span class="sr">Whole answer, drawn</span></th>
                  <th scope="col" class="num">Whole p50</th><th scope="col" class="num">p95</th>
                </tr>
              </thead>
              <tbody>
                <For each={u().rows.filter((r) => r.model)}>
                  {(row) => (
                    <tr>
                      <td class="clip max-m">
                        <button type="button" class="btn btn-text plain clip" title="Only this model" onClick={() => change({ model: row.model })}>
                          <ModelName provider={row.model!.slice(0, row.model!.indexOf('/'))} model={row.model!.slice(row.model!.indexOf('/') + 1)} />
                        </button>
                      </td>
                      <td class="num">{showShort(row.requests)}</td>
                      <td class="num hide-s"><Spend of={row} /></td>
                      <td class="spread-col"><SpreadLine p50={row.ttft_ms.p50} p95={row.ttft_ms.p95} {...bounds()} /></td>
                      <td class="num">{showMs(row.ttft_ms.p50)}</td>
                      <td class="num soft">{showMs(row.ttft_ms.p95)}</td>
                      <td class="spread-col"><SpreadLine p50={row.latency_ms.p50} p95={row.latency_ms.p95} {...bounds()} /></td>
                      <td class="num">{showMs(row.latency_ms.p50)}</td>
                      <td class="num soft">{showMs(row.latency_ms.p95)}</td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Keys(props: { of: Load<Usage>; total: string }) {
  const all = () => parseUsd(props.total)
  const share = (row: UsageRow) => {
    const [part, whole] = [parseUsd(row.cost_usd), all()]
    return part === null || whole === null || whole <= 0n ? 0 : lengthOf(part) / lengthOf(whole)
  }
  return (
    <Card title="Top keys by spend" flush aside={<Show when={props.of.data()}>{(u) => <>{plural(u().count - (u().rows.some((row) => !row.key) ? 1 : 0), 'active key')}</>}</Show>}>
      <Loaded of={props.of} part>
        {(u) => (
          <div class="scroll" tabindex="0" role="region" aria-label="Top keys by spend">
            <table class="small">
              <thead>
                <tr><th scope="col">Name</th><th scope="col" class="hide-s">Key</th><th scope="col" class="num">Requests</th><th scope="col" class="num">Spend</th><th scope="col" class="num">Share</th><th scope="col" class="share-col"><span class="sr">Share, drawn</span></th></tr>
              </thead>
              <tbody>
                <For each={u().rows}>
                  {(row) => (
                    <tr>
                      <td class="clip max-m">
                        <Show when={row.key} fallback={<span class="quiet">Relay itself (audits)</span>}>
                          <button type="button" class="btn btn-text plain clip" title="Only this key" onClick={() => change({ key: row.key })}>{row.name ?? row.key}</button>
                        </Show>
                      </td>
                      <td class="mono soft hide-s">{row.key_tag ?? '–'}</td>
                      <td class="num">{showCount(row.requests)}</td>
                      <td class="num"><Spend of={row} /></td>
                      <td class="num">{showShareOfUsd(parseUsd(row.cost_usd), all())}</td>
                      <td class="share-col"><Meter share={share(row)} /></td>
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  )
}
