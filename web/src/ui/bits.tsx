/* bits.tsx - small parts that every page uses. */
import { type JSX, Show, createSignal, createUniqueId, For } from 'solid-js'
import type { CacheKind, HealthState, RequestRow } from '../api'
import { parseUsd, showUsd } from '../lib/money'
import { showAgo, showMoment } from '../lib/time'
import { Icon, type IconName } from './Icon'

export function Card(props: { title: string; aside?: JSX.Element; actions?: JSX.Element; flush?: boolean; children: JSX.Element }) {
  return (
    <section class="card">
      <div class="card-head">
        <h2>{props.title}</h2>
        <Show when={props.aside}><span class="aside">{props.aside}</span></Show>
        {props.actions}
      </div>
      <div class="card-body" classList={{ 'card-flush': props.flush }}>{props.children}</div>
    </section>
  )
}

export function Page(props: { title: string; lede?: string; tools?: JSX.Element; children: JSX.Element }) {
  return (
    <div class="page">
      <header class="page-head">
        <h1 tabindex="-1">{props.title}</h1>
        {props.tools}
        <Show when={props.lede}><p class="lede">{props.lede}</p></Show>
      </header>
      {props.children}
    </div>
  )
}

export function Stat(props: { name: string; value: JSX.Element; note?: JSX.Element }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd class="value">{props.value}</dd>
      <dd class="note">{props.note}</dd>
    </div>
  )
}

/** Money. Unknown is said in words, and quietly. */
export function Money(props: { usd: string | null | undefined }) {
  const amount = () => parseUsd(props.usd)
  return <span classList={{ quiet: amount() === null }} title={amount() === null ? 'The price is not known' : `$${props.usd}`}>{showUsd(amount())}</span>
}

export function IconButton(props: { icon: IconName; label: string; pressed?: boolean; disabled?: boolean; onClick: () => void }) {
  return (
    <button
      type="button" class="btn btn-icon" aria-label={props.label} title={props.label} aria-pressed={props.pressed} disabled={props.disabled}
      onClick={() => props.onClick()}
    >
      <Icon name={props.icon} />
    </button>
  )
}

export function When(props: { at: string | null; none?: string }) {
  return (
    <Show when={props.at} fallback={<span class="quiet">{props.none ?? 'never'}</span>}>
      {(at) => <time datetime={at()} title={`${showMoment(Date.parse(at()))} (${at()})`}>{showAgo(Date.parse(at()))}</time>}
    </Show>
  )
}

/** A sentence of the gateway, with what stands between backticks as code. */
export function Sentence(props: { text: string }) {
  return <For each={props.text.split('`')}>{(part, i) => (i() % 2 === 1 ? <code>{part}</code> : part)}</For>
}

/** A bar of a share. The number that it means stands beside it. */
export function Meter(props: { share: number; tone?: 'bad' | 'warn' | 'good' }) {
  return (
    <svg class="meter" classList={{ [`is-${props.tone}`]: props.tone !== undefined }} aria-hidden="true">
      <rect x="0" y="0" height="100%" rx="2" width={`${Math.max(0, Math.min(1, props.share)) * 100}%`} />
    </svg>
  )
}

export function Status(props: { row: Pick<RequestRow, 'status' | 'error_code'> }) {
  const tone = () => (props.row.status < 400 ? 'tag-plain' : props.row.status === 499 ? '' : props.row.status < 500 ? 'tag-warn' : 'tag-bad')
  return <span class={`tag ${tone()}`} title={props.row.error_code ?? undefined}>{props.row.status}</span>
}

const CACHE_WORDS: Record<CacheKind, string> = { exact: 'exact hit', semantic: 'semantic hit', shared: 'shared', miss: 'miss', bypass: 'bypass' }

export function CacheTag(props: { kind: CacheKind }) {
  const isHit = () => props.kind !== 'miss' && props.kind !== 'bypass'
  return <Show when={isHit()} fallback={<span class="quiet">{props.kind}</span>}><span class="tag tag-accent">{CACHE_WORDS[props.kind]}</span></Show>
}

const HEALTH_WORDS: Record<HealthState, [string, string]> = {
  up: ['up', 'dot-good'], down: ['down', 'dot-bad'], out: ['out', 'dot-bad'], resting: ['resting', 'dot-warn'], unknown: ['not asked', ''],
}

export function Health(props: { state: HealthState; until: string | null }) {
  return (
    <span class="row nowrap" title={props.until === null ? undefined : `Asked again ${showAgo(Date.parse(props.until))}`}>
      <i class={`dot ${HEALTH_WORDS[props.state][1]}`} />
      {HEALTH_WORDS[props.state][0]}
    </span>
  )
}

/** Provider and model with a line break where one is needed, and the provider set back. */
export function ModelName(props: { provider: string | null; model: string | null }) {
  return (
    <Show when={props.provider} fallback={<span class="quiet">none</span>}>
      <span title={`${props.provider}/${props.model ?? ''}`}><span class="quiet">{props.provider}/</span>{props.model}</span>
    </Show>
  )
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // a plain http address that is not loopback has no clipboard
  }
}

export function CopyButton(props: { text: string; label: string }) {
  const [done, setDone] = createSignal(false)
  const copy = async () => {
    if (!(await copyText(props.text))) return toast('The browser does not allow copying here; select the text instead.')
    setDone(true)
    setTimeout(() => setDone(false), 1500)
  }
  return (
    <>
      <IconButton icon={done() ? 'check' : 'copy'} label={`Copy ${props.label}`} onClick={copy} />
      <span class="sr" role="status">{done() ? 'Copied' : ''}</span>
    </>
  )
}

export function Code(props: { text: string; label: string }) {
  return (
    <div class="code">
      <pre tabindex="0" role="region" aria-label={props.label}>{props.text}</pre>
      <CopyButton text={props.text} label={props.label} />
    </div>
  )
}

const [toasts, setToasts] = createSignal<{ id: number; text: string }[]>([])
let toastId = 0

export function toast(text: string): void {
  const id = ++toastId
  setToasts((list) => [...list, { id, text }])
  setTimeout(() => setToasts((list) => list.filter((t) => t.id !== id)), 4500)
}

export function Toasts() {
  return <div class="toasts" role="status"><For each={toasts()}>{(t) => <div class="toast">{t.text}</div>}</For></div>
}

/** A form's field: label, hint and what is wrong belong to the input for everybody. */
export function Field(props: { label: string; hint?: string; wrong?: string | null; children: (ids: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean }) => JSX.Element }) {
  const id = createUniqueId()
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children({
        id,
        get 'aria-describedby'() { return props.wrong ? `${id}-w` : props.hint ? `${id}-h` : undefined },
        get 'aria-invalid'() { return Boolean(props.wrong) },
      })}
      <Show when={props.wrong} fallback={<Show when={props.hint}><span class="hint" id={`${id}-h`}>{props.hint}</span></Show>}>
        <span class="wrong" id={`${id}-w`} role="alert">{props.wrong}</span>
      </Show>
    </div>
  )
}
