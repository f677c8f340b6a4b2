/* KeyForm.tsx - the dialog that makes or edits a key; what its fields mean is lib/keyform.ts. */
import { For, Show, createSignal } from 'solid-js'
import type { BudgetPeriod, Key, KeyPage, NewKey } from '../api'
import { patch, post } from '../lib/client'
import { type KeyFields, type Wrongs, changesOf, draftOf, fieldsOf } from '../lib/keyform'
import { createAction } from '../lib/load'
import { showUsdText } from '../lib/money'
import { showCount } from '../lib/numbers'
import { Field } from '../ui/bits'
import { Wrong } from '../ui/dialogs'

const PERIODS: [BudgetPeriod, string][] = [['day', 'a day (UTC)'], ['month', 'a month (UTC)'], ['total', 'in total']]

export function KeyForm(props: { of: Key | null; defaults: KeyPage['defaults']; done: (key: Key | NewKey) => void; cancel: () => void }) {
  const before = fieldsOf(props.of)
  const [fields, setFields] = createSignal(before)
  const [wrong, setWrong] = createSignal<Wrongs>({})
  const set = (name: keyof KeyFields) => (e: { currentTarget: { value: string } }) => setFields({ ...fields(), [name]: e.currentTarget.value })

  const save = createAction(async () => {
    const { draft, wrong: found } = draftOf(fields())
    setWrong(found)
    if (Object.keys(found).length > 0) return
    if (props.of === null) return props.done(await post<NewKey>('keys', draft))
    const changes = changesOf(before, fields())
    if (Object.keys(changes).length === 0) return props.cancel()
    props.done(await patch<Key>(`keys/${encodeURIComponent(props.of.id)}`, changes))
  })
  const limitHint = (n: number) => `Empty: ${n === 0 ? 'no limit' : showCount(n)}. 0: no limit.`
  const text = (name: keyof KeyFields, label: string, more: { hint?: string; placeholder?: string; type?: string; inputmode?: 'numeric' | 'decimal' } = {}) => (
    <Field label={label} hint={more.hint} wrong={wrong()[name]}>
      {(ids) => (
        <input {...ids} class="input" type={more.type ?? 'text'} inputmode={more.inputmode} placeholder={more.placeholder} autocomplete="off" value={fields()[name]} onInput={set(name)} />
      )}
    </Field>
  )
  return (
    <form onSubmit={(e) => { e.preventDefault(); void save.run() }} novalidate>
      <div class="box-body">
        {text('name', 'Name')}
        <div class="fields-2">
          {text('rpm', 'Requests per minute', { hint: limitHint(props.defaults.rpm), inputmode: 'numeric' })}
          {text('tpm', 'Tokens per minute', { hint: limitHint(props.defaults.tpm), inputmode: 'numeric' })}
          {text('budget', 'Budget in USD', { hint: props.of?.budget_usd ? `${showUsdText(props.of.budget_spent_usd)} spent so far` : 'Empty: none', inputmode: 'decimal' })}
          <Field label="Budget period">
            {(ids) => (
              <select {...ids} class="input" onChange={set('period')}>
                <For each={PERIODS}>{([value, label]) => <option value={value} selected={value === fields().period}>{label}</option>}</For>
              </select>
            )}
          </Field>
        </div>
        {text('models', 'Models', { hint: 'Providers, models, aliases or auto, with commas between. Empty: all', placeholder: 'auto, groq, openai/gpt-4o-mini' })}
        <div class="fields-2">
          {text('group', 'Cache group', { hint: 'Keys of a group share cached answers' })}
          {text('tags', 'Tags', { placeholder: 'team=web, env=prod' })}
        </div>
        {text('expires', 'Expires', { type: 'datetime-local', hint: 'Empty: never' })}
        <Wrong error={save.error()} />
      </div>
      <div class="box-foot">
        <button type="button" class="btn" onClick={() => props.cancel()}>Cancel</button>
        <button type="submit" class="btn btn-main" disabled={save.busy()}><Show when={props.of === null} fallback="Save">Make the key</Show></button>
      </div>
    </form>
  )
}
