/* states.tsx - nothing yet, nothing there, trouble. */
import { For, type JSX, Match, Show, Switch } from 'solid-js'
import type { ApiError } from '../lib/client'
import type { Load } from '../lib/load'
import { Code } from './bits'
import { Icon } from './Icon'

export function Skeleton(props: { rows?: number; height?: number }) {
  return (
    <div class="stack-s" role="status">
      <span class="sr">Loading</span>
      <For each={Array.from({ length: props.rows ?? 1 })}>
        {(_, i) => <span class="skeleton" style={{ height: `${props.height ?? 14}px`, width: `${100 - ((i() * 13) % 38)}%` }} />}
      </For>
    </div>
  )
}

export function Trouble(props: { error: ApiError; again: () => void }) {
  return (
    <Show when={props.error.isStoreAway} fallback={
      <div class="state" role="alert">
        <Icon name="warn" />
        <p>{props.error.message}{props.error.isPassing ? ' This page tries again by itself.' : ''}</p>
        <button type="button" class="btn" onClick={() => props.again()}>Try again</button>
      </div>
    }>
      <div class="state" role="alert">
        <Icon name="away" />
        <h2>The store is away</h2>
        <p>
          Keys and the request log cannot be read until it answers. Requests are still served; what they cost is kept in the journal and
          goes into the log afterwards. This page tries again by itself.
        </p>
        <button type="button" class="btn" onClick={() => props.again()}>Try now</button>
      </div>
    </Show>
  )
}

/** What is shown is of before: it could not be asked for anew. */
export function Stale(props: { error: ApiError | undefined; again: () => void }) {
  return (
    <Show when={props.error}>
      {(error) => (
        <div class="banner banner-warn" role="alert">
          <Icon name={error().isStoreAway ? 'away' : 'warn'} />
          <span class="grow">
            {error().isStoreAway ? 'The store is away. Requests are still served.' : error().message} What is shown is from before{error().isPassing ? '; this page tries again by itself' : ''}.
          </span>
          <button type="button" class="btn btn-s" onClick={() => props.again()}>Try now</button>
        </div>
      )}
    </Show>
  )
}

/** What an answer looks like once there is one; until then a skeleton; trouble where there is none. What
 * is out of date says so, but in a part of a page that says so itself. */
export function Loaded<T>(props: { of: Load<T>; rows?: number; height?: number; part?: boolean; children: (data: () => T) => JSX.Element }) {
  return (
    <Switch fallback={<div class="card-body"><Skeleton rows={props.rows ?? 5} height={props.height} /></div>}>
      <Match when={props.of.data() !== undefined}>
        <Show when={!props.part}><Stale error={props.of.error()} again={props.of.again} /></Show>
        {props.children(() => props.of.data() as T)}
      </Match>
      <Match when={props.of.error()}>{(error) => <Trouble error={error()} again={props.of.again} />}</Match>
    </Switch>
  )
}

export function Nothing(props: { title: string; children?: JSX.Element }) {
  return (
    <div class="state">
      <Icon name="search" />
      <h2>{props.title}</h2>
      {props.children}
    </div>
  )
}

/** An empty log is a beginning. */
export function FirstRequest(props: { url: string }) {
  const line = () =>
    `curl ${props.url}/v1/chat/completions \\\n  -H "Authorization: Bearer $(cat data/first-key)" \\\n  -H "Content-Type: application/json" \\\n  -d '{"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}'`
  return (
    <div class="state">
      <Icon name="play" />
      <h2>No requests yet</h2>
      <p>Send the first one. It is on this page within a second, with what it cost and why it went where it went.</p>
      <div class="first"><Code text={line()} label="the command" /></div>
      <p class="quiet">
        <code>data/first-key</code> is the key that was made at the first start; <a class="link" href="#/keys">make another</a>.
      </p>
    </div>
  )
}
