/* Cache.tsx - how full it is, what it saves, how often it is wrong, and forgetting. */
import { For, Show, createSignal } from 'solid-js'
import type { CacheState, Purged, Usage } from '../api'
import { get, remove } from '../lib/client'
import { createClock, createLoad } from '../lib/load'
import { plural, showBytes, showCount, showShare } from '../lib/numbers'
import { DAY, showLength, toTime } from '../lib/time'
import { refusalWords } from '../lib/words'
import { Card, Field, Meter, Money, Page, Sentence, Stat, When, toast } from '../ui/bits'
import { Confirm } from '../ui/dialogs'
import { Icon } from '../ui/Icon'
import { Loaded } from '../ui/states'

const KINDS = [['exact', 'Exact'], ['semantic', 'Semantic'], ['shared', 'Shared'], ['miss', 'Miss'], ['bypass', 'Bypass']] as const

export default function Cache() {
  const [now] = createClock(15_000)
  const cache = createLoad(now, (_n, signal) => get<CacheState>('cache', {}, signal))
  const usage = createLoad(now, (n, signal) => get<Usage>('usage', { by: 'day', from: toTime(n - DAY), to: toTime(n) }, signal))
  const total = () => usage.data()?.total
  return (
    <Page title="Cache">
      <Loaded of={cache} rows={8} height={22}>
        {(c) => (
          <>
            <Show when={c().trouble}>{(why) => <div class="banner banner-warn" role="status"><Icon name="warn" /><span><Sentence text={why()} /></span></div>}</Show>
            <dl class="stats">
              <Stat name="Answers" value={<>{showCount(c().answers)} <small>of {showCount(c().max_entries)}</small></>} note={`${showCount(c().similar)} may serve similar questions`} />
              <Stat name="Memory" value={<>{showBytes(c().bytes)} <small>of {showBytes(c().max_bytes)}</small></>} note={<Meter share={c().bytes / c().max_bytes} tone={c().bytes > c().max_bytes * 0.95 ? 'warn' : undefined} />} />
              <Stat name="Hits, last 24 h" value={total() ? showShare(total()!.cache_hits, total()!.requests) : '–'} note={total() ? `${showCount(total()!.cache_hits)} of ${plural(total()!.requests, 'request')}` : ''} />
              <Stat name="Saved, last 24 h" value={total() ? <Money usd={total()!.cache_saved_usd} /> : '–'} note={`kept for ${showLength(c().ttl_s * 1000)}`} />
              <Stat name="Oldest answer" value={<When at={c().oldest} none="–" />} note={<>newest <When at={c().newest} none="–" /></>} />
            </dl>
            <div class="grid-2">
              <Results of={c()} />
              <Audits of={c()} />
              <Vetoes of={c()} />
              <Purge done={cache.again} />
            </div>
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Results(props: { of: CacheState }) {
  const all = () => KINDS.reduce((n, [kind]) => n + props.of.results[kind], 0)
  return (
    <Card title="Lookups" aside={`${showCount(all())} since the gateway started`}>
      <Show when={all() > 0} fallback={<p class="quiet">Nothing has been looked up yet.</p>}>
        <ul class="bars">
          <For each={KINDS}>
            {([kind, name]) => (
              <li>
                <span>{name}</span><span>{showCount(props.of.results[kind])}</span><span class="share">{showShare(props.of.results[kind], all())}</span>
                <Meter share={props.of.results[kind] / all()} tone={kind === 'miss' || kind === 'bypass' ? undefined : 'good'} />
              </li>
            )}
          </For>
        </ul>
      </Show>
    </Card>
  )
}

const percent = (share: number) => `${(share * 100).toFixed(2)}%`

/** The share of differing answers with its interval, beside the bound that the configuration sets. */
function Audits(props: { of: CacheState }) {
  const a = () => props.of.audits
  const most = () => Math.max(props.of.max_error * 1.6, (a().high ?? 0) * 1.15)
  const x = (share: number) => `${(share / most()) * 100}%`
  const words = () => `${percent(a().share ?? 0)} of audited answers differ; 95 % interval ${percent(a().low ?? 0)} to ${percent(a().high ?? 0)}; bound ${percent(props.of.max_error)} of requests`
  return (
    <Card title="Audits" aside={a().rate > 0 ? `${percent(a().rate)} of semantic hits` : 'off'}>
      <Show when={a().judged > 0} fallback={
        <p class="soft">{a().rate > 0 ? 'No hit has been audited yet.' : <>An audit holds a semantic hit against a fresh answer. <code>cache.audit</code> says how many hits are audited; each costs what its answer costs.</>}</p>
      }>
        <div class="stack-s">
          <p><strong class="big">{percent(a().share ?? 0)}</strong> <span class="soft">of the last {showCount(a().judged)} judged answers differ ({showCount(a().different)})</span></p>
          <svg class="interval" role="img" aria-label={words()}>
            <line class="rail" x1="0" x2="100%" y1="10" y2="10" />
            <line class="span" x1={x(a().low ?? 0)} x2={x(a().high ?? 0)} y1="10" y2="10" />
            <circle class="point" cx={x(a().share ?? 0)} cy="10" r="5" />
            <line class="bound" x1={x(props.of.max_error)} x2={x(props.of.max_error)} y1="0" y2="20" />
            <text x={x(props.of.max_error)} y="33" text-anchor="middle">max_error {percent(props.of.max_error)}</text>
          </svg>
          <dl class="facts">
            <dt>95 % interval</dt><dd>{percent(a().low ?? 0)} to {percent(a().high ?? 0)}</dd>
            <dt>Same, undecided, failed</dt><dd>{showCount(a().same)}, {showCount(a().undecided)}, {showCount(a().failed)}</dd>
            <dt>Level in force</dt><dd>{props.of.level === null ? 'no encoder' : props.of.level.toFixed(3)}</dd>
          </dl>
        </div>
      </Show>
    </Card>
  )
}

function Vetoes(props: { of: CacheState }) {
  const list = () => Object.entries(props.of.vetoes).sort((a, b) => b[1] - a[1])
  const most = () => list()[0]?.[1] ?? 1
  return (
    <Card title="Similar questions not served" aside="since the gateway started">
      <Show when={list().length > 0} fallback={<p class="quiet">None so far.</p>}>
        <ul class="bars">
          <For each={list()}>{([rule, n]) => <li><span>{refusalWords(rule)}</span><span /><span>{showCount(n)}</span><Meter share={n / most()} /></li>}</For>
        </ul>
      </Show>
    </Card>
  )
}

const SCOPES = [['all', 'All answers'], ['key', 'Answers of a key'], ['group', 'Answers of a cache group'], ['tag', 'Answers to requests with a tag'], ['entry', 'One answer']] as const
type Scope = (typeof SCOPES)[number][0]
const ASKED: Record<Exclude<Scope, 'all'>, [string, string]> = {
  key: ["The key's id", '019d…'], group: ['Group', 'apps'], tag: ['Tag', 'team=web'], entry: ['The id of the request that brought it', '019d…'],
}

function Purge(props: { done: () => void }) {
  const [scope, setScope] = createSignal<Scope>('all')
  const [text, setText] = createSignal('')
  const [wrong, setWrong] = createSignal<string | null>(null)
  const [asking, setAsking] = createSignal(false)
  const submit = (e: Event) => {
    e.preventDefault()
    const needed = scope() !== 'all' && text().trim() === ''
    setWrong(needed ? 'Say which.' : scope() === 'tag' && !/^[^=]+=/.test(text().trim()) ? 'name=value' : null)
    if (wrong() === null) setAsking(true)
  }
  const purge = async () => {
    const what = text().trim()
    const { purged } = scope() === 'entry'
      ? await remove<Purged>(`cache/entries/${encodeURIComponent(what)}`)
      : await remove<Purged>('cache', scope() === 'tag' ? { tag: what } : { scope: scope() === 'all' ? 'all' : `${scope()}:${what}` })
    toast(`${plural(purged, 'answer')} forgotten.`)
    setText('')
    props.done()
  }
  return (
    <Card title="Purge">
      <form class="stack form" onSubmit={submit} novalidate>
        <Field label="What to forget">
          {(ids) => <select {...ids} class="input" onChange={(e) => { setScope(e.currentTarget.value as Scope); setWrong(null) }}><For each={SCOPES}>{([value, name]) => <option value={value} selected={value === scope()}>{name}</option>}</For></select>}
        </Field>
        <Show when={scope() !== 'all' && ASKED[scope() as keyof typeof ASKED]}>
          {(asked) => <Field label={asked()[0]} wrong={wrong()}>{(ids) => <input {...ids} class="input" autocomplete="off" placeholder={asked()[1]} value={text()} onInput={(e) => setText(e.currentTarget.value)} />}</Field>}
        </Show>
        <div><button type="submit" class="btn btn-bad">Purge…</button></div>
      </form>
      <Confirm open={asking()} onClose={() => setAsking(false)} title="Purge the cache?" verb="Purge" act={purge}>
        {SCOPES.find(([value]) => value === scope())![1]}{scope() === 'all' ? '' : `: ${text().trim()}`}. What is asked again goes to a provider and costs what it costs.
      </Confirm>
    </Card>
  )
}
