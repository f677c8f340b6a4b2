/* Models.tsx - what can be asked, at which price, how good, how quick, and whether it is up. */
import { For, Show, createMemo } from 'solid-js'
import type { Catalogue, Model } from '../api'
import { address, change, makeAddress } from '../lib/address'
import { get } from '../lib/client'
import { createClock, createLoad } from '../lib/load'
import { lengthOf, parseUsd, showPrice } from '../lib/money'
import { plural, showMs, showShort } from '../lib/numbers'
import { showAgo } from '../lib/time'
import { Health, ModelName, Page } from '../ui/bits'
import { Loaded, Nothing } from '../ui/states'

const priceOf = (text: string | null) => (parseUsd(text) === null ? null : lengthOf(parseUsd(text)))

interface Column {
  id: string
  name: string
  of: (m: Model) => string | number | null
  isNumber: boolean
}

const COLUMNS: Column[] = [
  { id: 'id', name: 'Model', of: (m) => m.id, isNumber: false },
  { id: 'health', name: 'Health', of: (m) => m.health, isNumber: false },
  { id: 'in', name: '$/M in', of: (m) => priceOf(m.prices_usd_per_million.input), isNumber: true },
  { id: 'cached', name: 'Cached', of: (m) => priceOf(m.prices_usd_per_million.cached_input), isNumber: true },
  { id: 'out', name: '$/M out', of: (m) => priceOf(m.prices_usd_per_million.output), isNumber: true },
  { id: 'quality', name: 'Quality', of: (m) => m.quality, isNumber: true },
  { id: 'context', name: 'Context', of: (m) => m.context, isNumber: true },
  { id: 'ttft', name: 'First token p50', of: (m) => m.ttft_ms.p50, isNumber: true },
  { id: 'ttft95', name: 'p95', of: (m) => m.ttft_ms.p95, isNumber: true },
  { id: 'whole', name: 'Whole p50', of: (m) => m.latency_ms.p50, isNumber: true },
  { id: 'whole95', name: 'p95', of: (m) => m.latency_ms.p95, isNumber: true },
  { id: 'requests', name: 'Requests', of: (m) => m.requests, isNumber: true },
]

/** What is in use comes first, unless another order is asked for. */
const USED = COLUMNS.at(-1)!

/** What is not known comes last, whichever way. */
function compare(a: string | number | null, b: string | number | null, way: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1
  return (typeof a === 'string' ? a.localeCompare(String(b)) : a - Number(b)) * way
}

export default function Models() {
  const [now] = createClock(15_000)
  const models = createLoad(now, (_n, signal) => get<Catalogue>('models', {}, signal))
  const param = (name: string) => address().query.get(name) ?? ''
  const sort = () => COLUMNS.find((c) => c.id === param('sort')) ?? USED
  const way = () => (param('way') === 'down' || (param('sort') === '' && param('way') === '') ? -1 : 1)
  const shown = createMemo(() => {
    const q = param('q').toLowerCase()
    return (models.data()?.models ?? [])
      .filter((m) => (param('provider') === '' || m.provider === param('provider')) && `${m.id} ${m.capabilities.join(' ')}`.toLowerCase().includes(q))
      .sort((a, b) => compare(sort().of(a), sort().of(b), way()) || a.id.localeCompare(b.id))
  })
  const press = (column: Column) => {
    const isSame = sort().id === column.id
    change({ sort: column.id, way: isSame && way() === 1 ? 'down' : null }, 'replace')
  }
  return (
    <Page title="Models" tools={<input class="input find" type="search" aria-label="Look for a model or capability" placeholder="Model or capability…" value={param('q')} onInput={(e) => change({ q: e.currentTarget.value }, 'replace')} />}>
      <Loaded of={models} rows={10} height={22}>
        {(found) => (
          <>
            <div class="tiles">
              <For each={found().providers}>
                {(p) => (
                  <button type="button" class="tile" aria-pressed={param('provider') === p.name} onClick={() => change({ provider: param('provider') === p.name ? null : p.name }, 'replace')}>
                    <span class="row between"><strong>{p.name}</strong><Health state={p.health} until={p.health_until} /></span>
                    <span class="quiet">{plural(p.models, 'model')}{p.health_until ? `, asked again ${showAgo(Date.parse(p.health_until), now())}` : p.kind === p.name ? '' : `, ${p.kind}`}</span>
                  </button>
                )}
              </For>
            </div>
            <div class="card">
              <Show when={shown().length > 0} fallback={<Nothing title={found().models.length === 0 ? 'No provider is on' : 'No model matches'}>
                <p>{found().models.length === 0 ? <><code>relay check</code> says what each provider needs.</> : 'Look for less.'}</p></Nothing>}>
                <div class="scroll" tabindex="0" role="region" aria-label="Models">
                  <table>
                    <thead>
                      <tr>
                        <For each={COLUMNS}>
                          {(c) => (
                            <th scope="col" classList={{ num: c.isNumber }} aria-sort={sort().id === c.id ? (way() === 1 ? 'ascending' : 'descending') : undefined}>
                              <button type="button" onClick={() => press(c)}>{c.name}<span aria-hidden="true">{sort().id === c.id ? (way() === 1 ? ' ↑' : ' ↓') : ''}</span></button>
                            </th>
                          )}
                        </For>
                      </tr>
                    </thead>
                    <tbody>
                      <For each={shown()}>
                        {(m) => (
                          <tr>
                            <td><div class="cell-2"><a class="name-link" href={makeAddress('overview', null, { model: m.id })}><ModelName provider={m.provider} model={m.model} /></a><span>{m.capabilities.join(', ').replaceAll('_', ' ')}</span></div></td>
                            <td><Health state={m.health} until={m.health_until} /></td>
                            <td class="num">{price(m.prices_usd_per_million.input)}</td>
                            <td class="num soft">{price(m.prices_usd_per_million.cached_input)}</td>
                            <td class="num">{price(m.prices_usd_per_million.output)}</td>
                            <td class="num" title={m.quality_estimated ? 'An estimate' : undefined}>{m.quality === null ? <span class="quiet">unknown</span> : `${m.quality_estimated ? '~' : ''}${m.quality.toFixed(1)}`}</td>
                            <td class="num soft">{m.context === null ? '–' : showShort(m.context)}</td>
                            <td class="num">{showMs(m.ttft_ms.p50)}</td><td class="num soft">{showMs(m.ttft_ms.p95)}</td>
                            <td class="num">{showMs(m.latency_ms.p50)}</td><td class="num soft">{showMs(m.latency_ms.p95)}</td>
                            <td class="num">{showShort(m.requests)}</td>
                          </tr>
                        )}
                      </For>
                    </tbody>
                  </table>
                </div>
                <div class="more"><span class="quiet">{plural(shown().length, 'model')}; latency and requests of the last 24 hours; prices and quality of {found().date}</span></div>
              </Show>
            </div>
          </>
        )}
      </Loaded>
    </Page>
  )
}

const price = (text: string | null) => <span classList={{ quiet: text === null }}>{showPrice(text)}</span>
