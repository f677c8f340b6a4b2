/* routes.tsx - candidates of a decision in their order, and who was refused. */
import { For, Show } from 'solid-js'
import { showCount } from '../lib/numbers'
import { refusalWords } from '../lib/words'
import { Meter, Money } from './bits'

export interface Candidate {
  model: string
  expected_cost_usd: string | null
  chance: number
  missed: string | null
  quality?: number | null | undefined
}

export function Candidates(props: { list: Candidate[]; label: string; baseline?: string | null }) {
  const hasQuality = () => props.list.some((c) => c.quality !== undefined)
  return (
    <div class="scroll" tabindex="0" role="region" aria-label={props.label}>
      <table class="small">
        <thead>
          <tr>
            <th scope="col">#</th><th scope="col">Model</th><th scope="col" class="num">Expected cost</th><th scope="col" class="num">Chance</th><th scope="col" class="chance-col"><span class="sr">Chance, drawn</span></th>
            <Show when={hasQuality()}><th scope="col" class="num">Quality</th></Show><th scope="col">Remark</th>
          </tr>
        </thead>
        <tbody>
          <For each={props.list}>
            {(c, i) => (
              <tr>
                <td class="quiet">{i() + 1}</td>
                <td class="clip max-l" title={c.model}>{i() === 0 ? <strong>{c.model}</strong> : c.model}</td>
                <td class="num"><Money usd={c.expected_cost_usd} /></td>
                <td class="num">{chance(c.chance)}</td>
                <td class="chance-col"><Meter share={c.chance} tone={c.missed === 'latency' ? 'warn' : undefined} /></td>
                <Show when={hasQuality()}><td class="num">{c.quality?.toFixed(1) ?? '–'}</td></Show>
                <td>
                  <Show when={i() === 0}><span class="tag tag-accent">{c.missed ? 'chosen, nearest' : 'chosen'}</span> </Show>
                  <Show when={c.missed}>{(why) => <span class="warn">{refusalWords(why())}</span>}</Show>
                  <Show when={props.baseline === c.model}> <span class="tag">baseline</span></Show>
                </td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  )
}

const chance = (p: number) => `${p >= 0.9995 ? '>99.9' : (p * 100).toFixed(1)}%`

export function Refusals(props: { of: { [reason: string]: number } }) {
  const list = () => Object.entries(props.of).sort((a, b) => b[1] - a[1])
  return (
    <Show when={list().length > 0} fallback={<p class="quiet">No model was refused.</p>}>
      <div class="row row-wrap">
        <span class="quiet">Refused</span>
        <For each={list()}>{([why, n]) => <span class="tag">{showCount(n)} × {refusalWords(why)}</span>}</For>
      </div>
    </Show>
  )
}
