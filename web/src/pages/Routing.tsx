/* Routing.tsx - a dry run: how a prompt would be routed, and why. Nothing is sent to a provider. */
import { For, Show, createSignal } from 'solid-js'
import type { Catalogue, RouteAnswer, RouteAsk } from '../api'
import { get, post } from '../lib/client'
import { createAction, createLoad } from '../lib/load'
import { plural, showCount, showMs } from '../lib/numbers'
import { Card, Field, Money, Page } from '../ui/bits'
import { Wrong } from '../ui/dialogs'
import { Candidates, Refusals } from '../ui/routes'

const NUMBER = /^\d{1,9}(\.\d{1,6})?$/

export default function Routing() {
  const models = createLoad(() => true, (_k, signal) => get<Catalogue>('models', {}, signal))
  const [prompt, setPrompt] = createSignal('')
  const [model, setModel] = createSignal('auto')
  const [latency, setLatency] = createSignal('')
  const [quality, setQuality] = createSignal('')
  const [stream, setStream] = createSignal(true)
  const [wrong, setWrong] = createSignal<{ latency?: string; quality?: string }>({})
  const [answer, setAnswer] = createSignal<RouteAnswer | undefined>()

  const run = createAction(async () => {
    const found: { latency?: string; quality?: string } = {}
    if (latency() !== '' && !NUMBER.test(latency())) found.latency = 'Milliseconds, such as 800.'
    if (quality() !== '' && (!NUMBER.test(quality()) || Number(quality()) > 100)) found.quality = 'A number from 0 to 100.'
    setWrong(found)
    if (Object.keys(found).length > 0) return
    const ask: RouteAsk = { prompt: prompt(), model: model().trim() || 'auto', stream: stream() }
    if (latency() !== '') ask.max_latency_ms = Number(latency())
    if (quality() !== '') ask.min_quality = Number(quality())
    setAnswer(await post<RouteAnswer>('route', ask))
  })
  return (
    <Page title="Routing" lede="Where would this go? Nothing is sent to a provider, and nothing is spent.">
      <div class="grid-routing">
        <Card title="Ask">
          <form class="stack form" onSubmit={(e) => { e.preventDefault(); void run.run() }} novalidate>
            <Field label="Prompt">
              {(ids) => <textarea {...ids} class="input" rows="7" placeholder="Summarise this thread in three bullet points…" value={prompt()} onInput={(e) => setPrompt(e.currentTarget.value)} />}
            </Field>
            <Field label="Model" hint="auto, an alias, or provider/model">
              {(ids) => (
                <>
                  <input {...ids} class="input" list="models-known" autocomplete="off" value={model()} onInput={(e) => setModel(e.currentTarget.value)} />
                  <datalist id="models-known"><option value="auto" /><For each={models.data()?.models ?? []}>{(m) => <option value={m.id} />}</For></datalist>
                </>
              )}
            </Field>
            <div class="fields-2">
              <Field label="Latency at most, ms" hint="Empty: as configured" wrong={wrong().latency}>
                {(ids) => <input {...ids} class="input" inputmode="decimal" value={latency()} onInput={(e) => setLatency(e.currentTarget.value.trim())} />}
              </Field>
              <Field label="Quality at least" hint="Empty: as configured" wrong={wrong().quality}>
                {(ids) => <input {...ids} class="input" inputmode="decimal" value={quality()} onInput={(e) => setQuality(e.currentTarget.value.trim())} />}
              </Field>
            </div>
            <label class="check"><input type="checkbox" checked={stream()} onChange={(e) => setStream(e.currentTarget.checked)} />Streamed: the latency is the first token's</label>
            <Wrong error={run.error()} />
            <button type="submit" class="btn btn-main" disabled={run.busy()}>{run.busy() ? 'Asking…' : 'Show the decision'}</button>
          </form>
        </Card>
        <Show when={answer()} fallback={<div class="card"><div class="state"><h2>The decision appears here</h2><p>Candidates in the order in which they would be tried, with what each is expected to cost and its chance of being quick enough, and who was refused and why.</p></div></div>}>
          {(a) => <Answer of={a()} />}
        </Show>
      </div>
    </Page>
  )
}

function Answer(props: { of: RouteAnswer }) {
  const a = () => props.of
  const first = () => a().candidates[0]
  return (
    <section class="card" aria-live="polite" aria-label="Decision">
      <div class="verdict">
        <Show when={first()} fallback={<h2>No model can serve this.</h2>}>
          {(c) => (
            <>
              <p class={a().target_missed ? 'warn' : 'quiet'}>{a().target_missed ? 'No model clears the bars; the nearest is' : 'Goes to'}</p>
              <h2>{c().model}</h2>
              <p class="soft">for about <Money usd={c().expected_cost_usd} />: {showCount(a().prompt_tokens)} tokens in, about {showCount(Math.round(c().expected_completion_tokens))} out</p>
            </>
          )}
        </Show>
      </div>
      <Candidates list={a().candidates} label="Candidates" baseline={a().baseline} />
      <div class="pad stack-s">
        <Refusals of={a().refused} />
        <p class="quiet">
          Bars: quality at least {a().min_quality}{a().max_latency_ms === null ? '' : `, ${a().stream ? 'first token' : 'answer'} within ${showMs(a().max_latency_ms)} with a chance of at least ${Math.round(a().confidence * 100)}%`}.
          {' '}{plural(a().measured, 'measured answer')} of the last 30 minutes.
        </p>
      </div>
    </section>
  )
}
