/* Keys.tsx - clients' keys: made, limited, revoked. */
import { For, Show, batch, createEffect, createMemo, createSignal, on, onCleanup } from 'solid-js'
import type { Key, KeyPage, NewKey } from '../api'
import { address, change, makeAddress } from '../lib/address'
import { ApiError, get, remove } from '../lib/client'
import { againByItself } from '../lib/load'
import { lengthOf, parseUsd, showUsdText } from '../lib/money'
import { plural, showCount, showShort } from '../lib/numbers'
import { budgetRenews, nowMs, showAgo } from '../lib/time'
import { Code, Meter, Page, When, toast } from '../ui/bits'
import { Box, Confirm } from '../ui/dialogs'
import { Icon } from '../ui/Icon'
import { Nothing, Skeleton, Stale, Trouble } from '../ui/states'
import { KeyForm } from './KeyForm'

const STATES = [['active', 'Active'], ['', 'All'], ['expired', 'Expired'], ['revoked', 'Revoked']] as const
const PAGE = 50

export const stateOf = (key: Key, now = nowMs()) =>
  key.revoked_at !== null ? 'revoked' : key.expires_at !== null && Date.parse(key.expires_at) <= now ? 'expired' : 'active'

export default function Keys() {
  const [keys, setKeys] = createSignal<Key[]>([])
  const [next, setNext] = createSignal<string | null>(null)
  const [defaults, setDefaults] = createSignal<KeyPage['defaults']>({ rpm: 0, tpm: 0 })
  const [busy, setBusy] = createSignal(true)
  const [error, setError] = createSignal<ApiError | undefined>()
  const [editing, setEditing] = createSignal<Key | 'new' | null>(null)
  const [made, setMade] = createSignal<NewKey | null>(null)
  const [revoking, setRevoking] = createSignal<Key | null>(null)
  let abort = new AbortController()

  const state = () => (address().query.has('state') ? address().query.get('state')! : 'active')
  const text = () => address().query.get('q') ?? ''
  const what = createMemo(() => JSON.stringify([state(), text()]))

  const ask = async (after: string | null) => {
    abort.abort()
    const mine = (abort = new AbortController())
    setBusy(true)
    setError(undefined)
    try {
      const page = await get<KeyPage>('keys', { limit: PAGE, after, q: text(), state: state() === 'all' ? '' : state() }, mine.signal)
      batch(() => {
        setKeys((known) => (after === null ? page.keys : [...known, ...page.keys]))
        setNext(page.next)
        setDefaults(page.defaults)
      })
    } catch (e) {
      if (mine.signal.aborted) return
      setError(e instanceof ApiError ? e : new ApiError(0, 'page', String(e), null, null))
    }
    setBusy(false)
  }
  createEffect(on(what, () => {
    setKeys([]) // of another question
    void ask(null)
  }))
  againByItself(error, () => ask(null))
  onCleanup(() => abort.abort())

  let timer: ReturnType<typeof setTimeout> | undefined
  const search = (q: string) => {
    clearTimeout(timer)
    timer = setTimeout(() => change({ q }, 'replace'), 200)
  }
  const saved = (key: Key | NewKey) => {
    setEditing(null)
    if ('key' in key) setMade(key)
    else toast(`${key.name} is changed.`)
    void ask(null)
  }
  const revoke = async (key: Key) => {
    await remove(`keys/${encodeURIComponent(key.id)}`)
    toast(`${key.name} is revoked.`)
    void ask(null)
  }
  return (
    <Page title="Keys" tools={<button type="button" class="btn btn-main" onClick={() => setEditing('new')}><Icon name="plus" />New key</button>}>
      <div class="filters">
        <input class="input" type="search" aria-label="Look for a name or tag" placeholder="Name or tag…" value={text()} onInput={(e) => search(e.currentTarget.value)} />
        <div class="seg" role="group" aria-label="Which keys">
          <For each={STATES}>
            {([value, name]) => <button type="button" aria-pressed={state() === (value || 'all')} onClick={() => change({ state: value === 'active' ? null : value || 'all' })}>{name}</button>}
          </For>
        </div>
      </div>
      <Show when={keys().length > 0}><Stale error={error()} again={() => ask(null)} /></Show>
      <div class="card">
        <Show when={!(error() && keys().length === 0)} fallback={<Trouble error={error()!} again={() => ask(null)} />}>
          <Show when={keys().length > 0} fallback={
            <Show when={!busy()} fallback={<div class="card-body card-top"><Skeleton rows={8} height={24} /></div>}>
              <Nothing title={text() === '' ? 'No keys here' : 'No key has this in its name or tag'}>
                <p>{text() === '' ? 'A key lets a client in. It is shown once, when it is made.' : 'Look among all keys, or for less.'}</p>
              </Nothing>
            </Show>
          }>
            <Table keys={keys()} defaults={defaults()} edit={setEditing} revoke={setRevoking} />
            <div class="more">
              <span class="quiet">{next() === null ? plural(keys().length, 'key') : `The newest ${showCount(keys().length)} keys`}</span>
              <Show when={next() !== null}><button type="button" class="btn btn-s" disabled={busy()} onClick={() => ask(next())}>More</button></Show>
            </div>
          </Show>
        </Show>
      </div>
      <Box open={editing() !== null} onClose={() => setEditing(null)} title={editing() === 'new' ? 'New key' : 'Edit key'}
        lede={editing() === 'new' ? 'What is left empty is not limited, or as the configuration has it.' : undefined}>
        <Show when={editing()} keyed>
          {(which) => <KeyForm of={which === 'new' ? null : which} defaults={defaults()} done={saved} cancel={() => setEditing(null)} />}
        </Show>
      </Box>
      <Box open={made() !== null} onClose={() => setMade(null)} title="Keep this key" lede="It is shown only this once. Relay keeps nothing but its hash.">
        <Show when={made()}>
          {(key) => (
            <>
              <div class="box-body"><Code text={key().key} label="the key" /></div>
              <div class="box-foot"><button type="button" class="btn btn-main" onClick={() => setMade(null)}>I have it</button></div>
            </>
          )}
        </Show>
      </Box>
      <Confirm open={revoking() !== null} onClose={() => setRevoking(null)} title="Revoke this key?" verb="Revoke" act={() => revoke(revoking()!)}>
        Clients with <strong>{revoking()?.name}</strong> <span class="mono">{revoking()?.tag}</span> are refused within a second. A revoked key stays revoked.
      </Confirm>
    </Page>
  )
}

function Table(props: { keys: Key[]; defaults: KeyPage['defaults']; edit: (key: Key) => void; revoke: (key: Key) => void }) {
  const limit = (value: number | null, usual: number) => {
    const n = value ?? usual
    return <span classList={{ quiet: value === null }} title={value === null ? "The configuration's" : undefined}>{n === 0 ? 'no limit' : showShort(n)}</span>
  }
  return (
    <div class="scroll" tabindex="0" role="region" aria-label="Keys">
      <table class="keys">
        <thead>
          <tr>
            <th scope="col">Name</th><th scope="col" class="budget-col">Budget</th><th scope="col" class="num hide-s">Requests / min</th><th scope="col" class="num hide-s">Tokens / min</th>
            <th scope="col" class="hide-s">Models</th><th scope="col" class="hide-s">Last used</th><th scope="col" class="num"><span class="sr">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          <For each={props.keys}>
            {(key) => (
              <tr>
                <td class="na max-l">
                  <div class="cell-2">
                    <span class="clip"><a class="name-link" href={makeAddress('overview', null, { key: key.id, range: '7d' })} title={key.name}>{key.name}</a></span>
                    <span class="row"><span class="mono">{key.tag}</span>
                      <Show when={stateOf(key) !== 'active'}><span class="tag tag-bad">{stateOf(key)}</span></Show>
                      <Show when={key.cache_group}>{(g) => <span class="clip" title="Cache group">{g()}</span>}</Show>
                      <Show when={stateOf(key) === 'active' && key.expires_at}>{(at) => <span>expires <When at={at()} /></span>}</Show>
                    </span>
                  </div>
                </td>
                <td class="bu budget-col"><Budget of={key} /></td>
                <td class="num hide-s">{limit(key.rpm, props.defaults.rpm)}</td>
                <td class="num hide-s">{limit(key.tpm, props.defaults.tpm)}</td>
                <td class="clip max-s hide-s">{key.models.length === 0 ? <span class="quiet">all</span> : <span title={key.models.join(', ')}>{key.models.join(', ')}</span>}</td>
                <td class="hide-s"><When at={key.last_used_at} /></td>
                <td class="ac num">
                  <Show when={key.revoked_at === null}>
                    <span class="row acts">
                      <button type="button" class="btn btn-s btn-ghost" aria-label={`Edit ${key.name}`} onClick={() => props.edit(key)}>Edit</button>
                      <button type="button" class="btn btn-s btn-ghost btn-bad" aria-label={`Revoke ${key.name}`} onClick={() => props.revoke(key)}>Revoke</button>
                    </span>
                  </Show>
                </td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  )
}

const PERIODS = { day: 'a day', month: 'a month', total: 'in total' }

function Budget(props: { of: Key }) {
  const share = () => {
    const all = lengthOf(parseUsd(props.of.budget_usd))
    return all > 0 ? lengthOf(parseUsd(props.of.budget_spent_usd)) / all : 1
  }
  const renews = () => budgetRenews(props.of.budget_period)
  return (
    <Show when={props.of.budget_usd !== null} fallback={<span class="quiet">none</span>}>
      <div class="stack-s budget" title={renews() === null ? undefined : `Begins anew ${showAgo(renews()!)}`}>
        <span>{showUsdText(props.of.budget_spent_usd)} <span class="quiet">of {showUsdText(props.of.budget_usd)} {props.of.budget_period && PERIODS[props.of.budget_period]}</span></span>
        <Meter share={share()} tone={share() >= 1 ? 'bad' : share() > 0.8 ? 'warn' : undefined} />
      </div>
    </Show>
  )
}

