/* filters.tsx - range, key, model and provider, which are parameters of the page's address. */
import { Combobox } from '@kobalte/core/combobox'
import { Popover } from '@kobalte/core/popover'
import { For, Show, createEffect, createMemo, createSignal } from 'solid-js'
import type { Catalogue, KeyPage } from '../api'
import { address, change, spanOf } from '../lib/address'
import { get, session } from '../lib/client'
import { createLoad } from '../lib/load'
import { RANGES, RANGE_DEFAULT, fromInput, showDay, toInput, toTime } from '../lib/time'
import { Field } from './bits'
import { Icon } from './Icon'

const param = (name: string) => address().query.get(name) ?? ''

export function RangePicker(props: { now: number }) {
  const range = () => param('range') || RANGE_DEFAULT
  const [open, setOpen] = createSignal(false)
  const [from, setFrom] = createSignal('')
  const [to, setTo] = createSignal('')
  const [wrong, setWrong] = createSignal<string | null>(null)
  const span = () => spanOf(address().query, props.now)
  const begin = (isOpen: boolean) => {
    if (isOpen) {
      setFrom(toInput(span().from))
      setTo(toInput(span().to))
      setWrong(null)
    }
    setOpen(isOpen)
  }
  const apply = (e: Event) => {
    e.preventDefault()
    const a = fromInput(from())
    const b = fromInput(to())
    if (a === null || b === null || a >= b) return setWrong('The beginning must be before the end.')
    change({ range: 'custom', from: toTime(a), to: toTime(b) })
    setOpen(false)
  }
  return (
    <div class="seg" role="group" aria-label="Time range">
      <For each={Object.keys(RANGES)}>
        {(name) => (
          <button type="button" aria-pressed={range() === name} onClick={() => change({ range: name === RANGE_DEFAULT ? null : name, from: null, to: null })}>{name}</button>
        )}
      </For>
      <Popover open={open()} onOpenChange={begin} placement="bottom-end" gutter={6}>
        <Popover.Trigger type="button" aria-pressed={range() === 'custom'}>
          <Show when={range() === 'custom'} fallback="Custom">{showDay(span().from)} – {showDay(span().to)}</Show>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content class="pop" aria-label="Custom range">
            <form class="box-body range-form" onSubmit={apply}>
              <Field label="From" wrong={wrong()}>
                {(ids) => <input {...ids} class="input" type="datetime-local" required value={from()} onInput={(e) => setFrom(e.currentTarget.value)} />}
              </Field>
              <Field label="To">
                {(ids) => <input {...ids} class="input" type="datetime-local" required value={to()} onInput={(e) => setTo(e.currentTarget.value)} />}
              </Field>
              <button type="submit" class="btn btn-main">Apply</button>
            </form>
          </Popover.Content>
        </Popover.Portal>
      </Popover>
    </div>
  )
}

/** One catalogue for all filters, asked for once. */
let catalogue: Promise<Catalogue> | null = null
const askCatalogue = () => {
  catalogue ??= get<Catalogue>('models').catch((e: unknown) => {
    catalogue = null
    throw e
  })
  return catalogue
}

export function ParamSelect(props: { name: string; label: string; options: { value: string; label: string }[] }) {
  const known = createMemo(() => {
    const value = param(props.name)
    return value === '' || props.options.some((o) => o.value === value) ? props.options : [...props.options, { value, label: value }]
  })
  return (
    <select
      class="input" classList={{ 'is-set': param(props.name) !== '' }} aria-label={props.label}
      onChange={(e) => change({ [props.name]: e.currentTarget.value })}
    >
      <option value="" selected={param(props.name) === ''}>{props.label}: any</option>
      <For each={known()}>{(o) => <option value={o.value} selected={o.value === param(props.name)}>{o.label}</option>}</For>
    </select>
  )
}

interface KeyOption {
  id: string
  tag: string
  name: string
}

/** There can be a million keys, so the server looks for what is typed. */
export function KeyPicker() {
  const [text, setText] = createSignal('')
  const [options, setOptions] = createSignal<KeyOption[]>([])
  const [chosen, setChosen] = createSignal<KeyOption | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  const ask = (q: string) => get<KeyPage>('keys', { q, limit: 20 }).then((page) => setOptions(page.keys), () => setOptions([]))
  const input = (q: string) => {
    setText(q)
    clearTimeout(timer)
    timer = setTimeout(() => ask(q), 150)
  }
  createEffect(() => {
    const id = param('key')
    if (id === '') return setChosen(null)
    if (chosen()?.id === id) return
    const known = options().find((o) => o.id === id)
    setChosen(known ?? { id, tag: '', name: id.slice(0, 8) })
    if (!known) get<KeyPage>('keys', { id }).then((page) => page.keys[0] && param('key') === id && setChosen(page.keys[0]), () => undefined)
  })
  return (
    <Combobox<KeyOption>
      class="pick" classList={{ 'is-set': chosen() !== null }} options={options()} optionValue="id" optionTextValue="name" optionLabel="name"
      value={chosen()} defaultFilter={() => true} placeholder="Key: any" triggerMode="focus" gutter={6} allowsEmptyCollection sameWidth={false}
      onOpenChange={(open) => open && ask('')} onInputChange={input}
      onChange={(option) => { setChosen(option); change({ key: option?.id ?? null }) }}
      itemComponent={(item) => (
        <Combobox.Item item={item.item} class="pick-item">
          <Combobox.ItemLabel class="clip max-m">{item.item.rawValue.name}</Combobox.ItemLabel>
          <span class="mono">{item.item.rawValue.tag}</span>
        </Combobox.Item>
      )}
    >
      <Combobox.Control class="pick-control">
        <Combobox.Input class="pick-input" aria-label="Key" />
        <Show when={chosen()} fallback={<Combobox.Trigger class="pick-trigger" aria-label="Show keys"><Icon name="down" size={14} /></Combobox.Trigger>}>
          <button type="button" class="pick-trigger" aria-label="Any key" onClick={() => change({ key: null })}><Icon name="close" size={14} /></button>
        </Show>
      </Combobox.Control>
      <Combobox.Portal>
        <Combobox.Content class="pop">
          <Combobox.Listbox class="pick-list" />
          <Show when={options().length === 0}><div class="pick-none">{text() === '' ? 'There are no keys' : 'No key has this in its name or tag'}</div></Show>
        </Combobox.Content>
      </Combobox.Portal>
    </Combobox>
  )
}

export function Filters() {
  const models = createLoad(() => session() ?? null, askCatalogue)
  const ofModels = () => (models.data()?.models ?? []).map((m) => ({ value: m.id, label: m.id }))
  const ofProviders = () => (models.data()?.providers ?? []).map((p) => ({ value: p.name, label: p.name }))
  return (
    <>
      <KeyPicker />
      <ParamSelect name="provider" label="Provider" options={ofProviders()} />
      <ParamSelect name="model" label="Model" options={ofModels()} />
    </>
  )
}
