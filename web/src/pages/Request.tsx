/* Request.tsx - one request: its steps, its attempts, why it went where it went, and what it cost. */
import { For, Show, createSignal } from 'solid-js'
import type { Attempt, Decision, DecisionCandidate, Purged, RequestDetail, RequestRow, RouteAnswer, RouteAsk, Step, Timeline } from '../api'
import { address, change, makeAddress } from '../lib/address'
import { get, post, remove } from '../lib/client'
import { createAction, createLoad } from '../lib/load'
import { parseUsd, showUsd, sumUsd } from '../lib/money'
import { plural, showCount, showMs, showUs } from '../lib/numbers'
import { showMoment } from '../lib/time'
import { refusalWords } from '../lib/words'
import { CacheTag, Card, Code, CopyButton, ModelName, Money, Status, toast } from '../ui/bits'
import { Confirm, Wrong } from '../ui/dialogs'
import { Candidates, Refusals } from '../ui/routes'
import { Loaded } from '../ui/states'

export function RequestView(props: { id: string }) {
  const detail = createLoad(() => props.id, (id, signal) => get<RequestDetail>(`requests/${encodeURIComponent(id)}`, {}, signal))
  return (
    <Loaded of={detail} rows={10} height={20}>
      {(d) => (
        <div class="stack">
          <Head row={d().request} />
          <Money_ row={d().request} />
          <Show when={d().request.source_id}>{(source) => <Source id={source()} row={d().request} decision={d().decision} />}</Show>
          <Card title="Steps" aside={<Show when={d().timeline}>{(t) => <>{showUs(sum(t()))} in all</>}</Show>}>
            <Show when={d().timeline} fallback={<p class="quiet">The times of its steps were not kept.</p>}>{(t) => <Steps timeline={t()} />}</Show>
          </Card>
          <Show when={d().attempts.length > 0}><Attempts list={d().attempts} at={Date.parse(d().request.at)} /></Show>
          <Show when={d().decision} keyed>{(decision) => <DecisionCard decision={decision} row={d().request} />}</Show>
          <Facts row={d().request} />
          <Show when={d().content}>
            {(c) => (
              <Card title="Content">
                <div class="stack-s"><h3>Request</h3><Code text={c().request} label="the request" /><Show when={c().answer}><h3>Answer</h3><Code text={c().answer!} label="the answer" /></Show></div>
              </Card>
            )}
          </Show>
        </div>
      )}
    </Loaded>
  )
}

function Head(props: { row: RequestRow }) {
  return (
    <div class="stack-s">
      <div class="row row-wrap">
        <Status row={props.row} />
        <strong class="wrap-any"><ModelName provider={props.row.provider} model={props.row.model} /></strong>
        <Show when={props.row.route}><span class="tag">{props.row.route}</span></Show>
        <CacheTag kind={props.row.cache} />
      </div>
      <Show when={props.row.error_code}><p class="bad">{props.row.error_code}</p></Show>
      <p class="quiet wrap-any">
        {showMoment(Date.parse(props.row.at))} · {props.row.endpoint} · {props.row.key_name ?? 'Relay itself'} <span class="mono">{props.row.key_tag}</span>
      </p>
      <p class="row quiet"><code class="wrap-any">{props.row.id}</code><CopyButton text={props.row.id} label="the id" /></p>
    </div>
  )
}

/** What it cost, and what it would have cost: without the cache, or at the baseline's price. */
function Money_(props: { row: RequestRow }) {
  const would = () => (parseUsd(props.row.cost_usd) === null ? null : sumUsd([props.row.cost_usd, props.row.cache_saved_usd, props.row.routing_saved_usd]))
  const saved = () => sumUsd([props.row.cache_saved_usd, props.row.routing_saved_usd])
  const sources = { catalog: "from the catalogue's prices", provider: 'as the provider stated it', estimated: 'estimated', none: 'no usage was told' }
  return (
    <dl class="stats stats-3">
      <div><dt>Cost</dt><dd class="value"><Money usd={props.row.cost_usd} /></dd><dd class="note">{props.row.route === 'cached' ? 'no provider was asked' : sources[props.row.cost_source]}</dd></div>
      <div>
        <dt>Would have cost</dt>
        <dd class="value"><span classList={{ quiet: would() === null }}>{showUsd(would())}</span></dd>
        <dd class="note">{props.row.route === 'cached' ? 'without the cache' : props.row.route === 'pinned' ? 'pinned: no other choice' : 'at the baseline'}</dd>
      </div>
      <div><dt>Saved</dt><dd class="value"><span classList={{ good: (saved() ?? 0n) > 0n, quiet: saved() === null }}>{showUsd(saved())}</span></dd>
        <dd class="note">{props.row.ttft_ms === null ? '' : `first token ${showMs(props.row.ttft_ms)}, `}whole {showMs(props.row.latency_ms)}</dd></div>
    </dl>
  )
}

function Source(props: { id: string; row: RequestRow; decision: Decision | null }) {
  const [asking, setAsking] = createSignal(false)
  const purge = async () => {
    const { purged } = await remove<Purged>(`cache/entries/${encodeURIComponent(props.id)}`)
    toast(purged > 0 ? 'The answer is forgotten.' : 'The cache did not have it any more.')
  }
  return (
    <Card title={props.row.cache === 'shared' ? 'Shared the answer of another request' : 'Came from the cache'} actions={
      <Show when={props.row.cache !== 'shared'}><button type="button" class="btn btn-s btn-bad" onClick={() => setAsking(true)}>Purge this answer</button></Show>
    }>
      <p class="soft">
        The answer was made for <a class="link wrap-any" href={makeAddress('requests', address().query, { open: props.id })}><code>{props.id}</code></a>
        <Show when={props.row.cache === 'semantic' && props.row.similarity !== null}>, whose question is alike to {props.row.similarity!.toFixed(3)} of 1<Show when={props.decision?.cache?.score}>{(s) => <> (score {s().toFixed(3)})</>}</Show></Show>.
      </p>
      <Confirm open={asking()} onClose={() => setAsking(false)} title="Purge this answer?" verb="Purge" act={purge}>
        The cache forgets the answer that this hit came from. The next request like it goes to a provider.
      </Confirm>
    </Card>
  )
}

const SIX: { name: string; steps: Step[] }[] = [
  { name: 'Authenticate', steps: ['authenticate', 'receive'] },
  { name: 'Limit', steps: ['limit'] },
  { name: 'Route', steps: ['route'] },
  { name: 'Cache', steps: ['recall', 'resemble'] },
  { name: 'Answer', steps: ['call', 'stream'] },
  { name: 'Account', steps: ['account', 'reply'] },
]

const sum = (t: Timeline) => SIX.flatMap((s) => s.steps).reduce((us, step) => us + (t[step] ?? 0), 0)

/** Each step where it was in the request's time. What is too short to be seen is drawn as short as can be seen. */
function Steps(props: { timeline: Timeline }) {
  const placed = () => {
    const total = Math.max(1, sum(props.timeline))
    let at = 0
    return SIX.map((group) => ({
      ...group,
      entered: group.steps.some((s) => props.timeline[s] !== undefined),
      us: group.steps.reduce((us, s) => us + (props.timeline[s] ?? 0), 0),
      bars: group.steps.map((s) => {
        const us = props.timeline[s] ?? 0
        const bar = { x: (at / total) * 100, width: us === 0 ? 0 : Math.max(0.5, (us / total) * 100) }
        at += us
        return { ...bar, x: Math.min(bar.x, 100 - bar.width) }
      }),
    }))
  }
  /* Every request is accounted for; the row that has the times is written there. */
  const idleWord = (steps: Step[]) => (steps.includes('account') ? 'writes this row: no time of its own' : 'not entered')
  const partsOf = (steps: Step[]) => steps.length < 2 ? '' : steps.filter((s) => props.timeline[s] !== undefined).map((s) => `${s} ${showUs(props.timeline[s]!)}`).join(', ')
  return (
    <ol class="steps">
      <For each={placed()}>
        {(group) => (
          <li class="step" classList={{ 'is-idle': !group.entered }}>
            <div>
              {group.name}
              <div class="parts">{group.entered ? partsOf(group.steps) : idleWord(group.steps)}</div>
            </div>
            <svg class="track" aria-hidden="true">
              <rect class="rail" x="0" y="4" width="100%" height="2" rx="1" />
              <For each={group.bars}>{(bar, i) => <rect class={i() === 1 ? 'second' : ''} x={`${bar.x}%`} y="0" width={`${bar.width}%`} height="10" rx="2" />}</For>
            </svg>
            <span class="num">{group.entered ? showUs(group.us) : '–'}</span>
          </li>
        )}
      </For>
    </ol>
  )
}

function Attempts(props: { list: Attempt[]; at: number }) {
  return (
    <Card title="Attempts" aside={plural(props.list.length, 'call')} flush>
      <div class="scroll" tabindex="0" role="region" aria-label="Attempts">
        <table class="small">
          <thead><tr><th scope="col">#</th><th scope="col">Model</th><th scope="col">Outcome</th><th scope="col" class="num">Began after</th><th scope="col" class="num">First token</th><th scope="col" class="num">Whole</th><th scope="col" class="num">Cost</th></tr></thead>
          <tbody>
            <For each={props.list}>
              {(a) => (
                <tr>
                  <td>{a.n}</td>
                  <td class="clip max-m"><ModelName provider={a.provider} model={a.model} /></td>
                  <td><Show when={a.error_code} fallback={<span class="tag tag-good">{a.status}</span>}><span class="bad">{a.status ? `${a.status} ` : ''}{a.error_code}</span></Show></td>
                  <td class="num">{showMs(Date.parse(a.started_at) - props.at)}</td>
                  <td class="num">{showMs(a.ttft_ms)}</td><td class="num">{showMs(a.latency_ms)}</td>
                  <td class="num"><Money usd={a.cost_usd} /></td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </div>
    </Card>
  )
}

const asCandidate = (c: DecisionCandidate) => ({ model: c.model, expected_cost_usd: c.cost_usd, chance: c.chance, missed: c.missed ?? (c.unhealthy ? 'unhealthy' : null), quality: undefined })

function DecisionCard(props: { decision: Decision; row: RequestRow }) {
  const [answer, setAnswer] = createSignal<RouteAnswer | undefined>()
  const dryRun = createAction(async () => {
    const ask: RouteAsk = { model: props.row.model_asked ?? 'auto', prompt_tokens: props.row.prompt_tokens ?? 0, stream: props.row.stream }
    if (props.row.max_latency_ms !== null) ask.max_latency_ms = props.row.max_latency_ms
    if (props.row.min_quality !== null) ask.min_quality = props.row.min_quality
    if (props.row.key_id !== null) ask.key = props.row.key_id
    setAnswer(await post<RouteAnswer>('route', ask))
  })
  const bars = () => props.decision.bars
  const kept = () => [props.decision.chosen, ...(props.decision.others ?? [])].filter((c) => c !== undefined)
  return (
    <Card title="Decision" flush aside={<Show when={bars()}>{(b) => <>quality at least {b().min_quality}{b().max_latency_ms === undefined ? '' : `, ${showMs(b().max_latency_ms)} with a chance of ${Math.round(b().confidence * 100)}%`}</>}</Show>} actions={
      <button type="button" class="btn btn-s" disabled={dryRun.busy()} onClick={() => dryRun.run()}>{dryRun.busy() ? 'Asking…' : 'Dry run for the whole list'}</button>
    }>
      <div class="decision">
        <Show when={props.decision.explored}><p class="pad soft">Explored: a model without data was tried on purpose.</p></Show>
        <Show when={props.decision.target_missed}><p class="pad warn">No model cleared the bars; the nearest one served.</p></Show>
        <Show when={kept().length > 0}><Candidates list={kept().map(asCandidate)} label="Chosen and next candidates" /></Show>
        <Show when={props.decision.refused}>{(refused) => <div class="pad"><Refusals of={refused()} /></div>}</Show>
        <Show when={props.decision.cache}>
          {(c) => (
            <p class="pad soft">
              <Show when={c().nearest !== undefined}>The nearest cached question is alike to {c().nearest!.toFixed(3)} of 1. </Show>
              <Show when={c().refused}>{(why) => <>It was not served: {refusalWords(why())}.</>}</Show>
            </p>
          )}
        </Show>
        <Show when={props.decision.audit}>
          {(a) => <p class="pad soft">This is an audit of <a class="link" href={makeAddress('requests', address().query, { open: a().of })}><code>{a().of.slice(0, 13)}…</code></a>: {a().result}.</p>}
        </Show>
        <div class="pad-x"><Wrong error={dryRun.error()} /></div>
        <Show when={answer()}>
          {(found) => (
            <section aria-label="Dry run">
              <h3 class="pad">As it would be routed with what is measured by this minute</h3>
              <Candidates list={found().candidates} label="All candidates" baseline={found().baseline} />
              <div class="pad"><Refusals of={found().refused} /></div>
            </section>
          )}
        </Show>
      </div>
    </Card>
  )
}

function Facts(props: { row: RequestRow }) {
  const r = () => props.row
  const tokens = () => [
    `${showCount(r().prompt_tokens ?? 0)} in`, r().cached_tokens ? `${showCount(r().cached_tokens!)} of them cached` : '', `${showCount(r().completion_tokens ?? 0)} out`,
    r().reasoning_tokens ? `${showCount(r().reasoning_tokens!)} of them reasoning` : '',
  ].filter((t) => t !== '').join(', ')
  return (
    <Card title="Facts">
      <dl class="facts">
        <dt>Asked for</dt><dd>{r().model_asked ?? '–'}{r().stream ? ', streamed' : ', plain'}</dd>
        <dt>Tokens</dt><dd>{tokens()} <span class="quiet">({r().usage_source})</span></dd>
        <dt>Latency target</dt><dd>{r().max_latency_ms === null ? 'none' : <>{showMs(r().max_latency_ms)}, <span class={r().target_met === false ? 'warn' : ''}>{r().target_met === null ? 'not measured' : r().target_met ? 'met' : 'missed'}</span></>}</dd>
        <dt>Relay's own time</dt><dd>{r().overhead_us === null ? '–' : showUs(r().overhead_us!)}</dd>
        <dt>Finish</dt><dd>{r().finish_reason ?? '–'}</dd>
        <Show when={r().user_tag}><dt>User</dt><dd>{r().user_tag}</dd></Show>
        <Show when={Object.keys(r().tags ?? {}).length > 0}>
          <dt>Tags</dt><dd><For each={Object.entries(r().tags ?? {})}>{([k, v]) => <span class="tag tag-wrap">{k}={String(v)}</span>}</For></dd>
        </Show>
        <Show when={r().key_id}>{(id) => <><dt>Key</dt><dd><button type="button" class="btn btn-text" onClick={() => change({ key: id(), open: null })}>all requests of {r().key_name}</button></dd></>}</Show>
      </dl>
    </Card>
  )
}
