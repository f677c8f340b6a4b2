/* App.tsx - who is signed in, and which page is open. Pages are files of their own, loaded when they are opened. */
import { type Component, ErrorBoundary, For, Match, Show, Switch, createEffect, createMemo, createSignal, on, onMount } from 'solid-js'
import { Dynamic } from 'solid-js/web'
import { address, makeAddress, sharedOf } from './lib/address'
import { ApiError, askSession, session, signOut } from './lib/client'
import { createLoad } from './lib/load'
import { applyTheme, chooseTheme, isDark } from './lib/theme'
import { IconButton, Toasts, toast } from './ui/bits'
import { Icon, type IconName, Mark } from './ui/Icon'
import { Skeleton, Trouble } from './ui/states'
import { SignIn } from './pages/SignIn'

interface Entry {
  id: string
  name: string
  icon: IconName
  load: () => Promise<{ default: Component }>
  /** Takes the range and the filters along. */
  shares: boolean
}

const PAGES: Record<string, Entry> = {
  overview: { id: 'overview', name: 'Overview', icon: 'overview', load: () => import('./pages/Overview'), shares: true },
  requests: { id: 'requests', name: 'Requests', icon: 'requests', load: () => import('./pages/Requests'), shares: true },
  keys: { id: 'keys', name: 'Keys', icon: 'keys', load: () => import('./pages/Keys'), shares: false },
  models: { id: 'models', name: 'Models', icon: 'models', load: () => import('./pages/Models'), shares: false },
  routing: { id: 'routing', name: 'Routing', icon: 'routing', load: () => import('./pages/Routing'), shares: false },
  cache: { id: 'cache', name: 'Cache', icon: 'cache', load: () => import('./pages/Cache'), shares: false },
  settings: { id: 'settings', name: 'Settings', icon: 'settings', load: () => import('./pages/Settings'), shares: false },
}

const entryOf = (page: string) => (Object.hasOwn(PAGES, page) ? PAGES[page] : undefined)

export function App() {
  applyTheme()
  const [error, setError] = createSignal<ApiError | undefined>()
  const ask = () => {
    setError(undefined)
    askSession().catch((e: unknown) => setError(e instanceof ApiError ? e : new ApiError(0, 'page', String(e), null, null)))
  }
  onMount(ask)
  return (
    <>
      <Switch fallback={<div class="door"><Skeleton rows={3} /></div>}>
        <Match when={address().page === 'enter' || session() === null}><SignIn /></Match>
        <Match when={session()}><Shell /></Match>
        <Match when={error()}>{(e) => <main class="door"><Trouble error={e()} again={ask} /></main>}</Match>
      </Switch>
      <Toasts />
    </>
  )
}

/** Who comes from another page is taken to this one's heading.
 *  A page's file is asked for when the page is opened; one that cannot be had (the gateway is another version since) says so. */
function Opened(props: { page: string; isFirst: () => boolean }) {
  const file = createLoad(() => props.page, async (page) => ({ page, component: (await entryOf(page)!.load()).default }))
  const component = createMemo(() => (file.data()?.page === props.page ? file.data()!.component : undefined))
  createEffect(() => {
    if (component() && !props.isFirst()) queueMicrotask(() => document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true }))
  })
  return (
    <Show when={component()} fallback={
      <Show when={file.error()} fallback={<div class="page"><Skeleton rows={8} height={18} /></div>}>
        <Trouble error={new ApiError(0, 'page', 'This page could not be loaded. The gateway may have been updated.', null, null)} again={() => location.reload()} />
      </Show>
    }>
      {(found) => <Dynamic component={found()} />}
    </Show>
  )
}

function Shell() {
  const open = createMemo(() => address().page)
  const entry = createMemo(() => entryOf(open()))
  let main!: HTMLElement
  let isFirst = true
  /* On a phone the pages' links are a strip that can be wider than the screen. */
  const showLink = () => document.querySelector('.nav [aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' })
  createEffect(on(open, (page) => {
    isFirst = false
    document.title = `${entryOf(page)?.name ?? 'Not found'} · Relay`
    window.scrollTo(0, 0)
    showLink()
  }, { defer: true }))
  onMount(() => {
    document.title = `${entry()?.name ?? 'Not found'} · Relay`
    showLink()
  })
  const linkOf = (page: string) => makeAddress(page, entryOf(page)!.shares ? sharedOf(address().query) : null)
  const leave = () => signOut().catch((e: unknown) => toast(e instanceof Error ? e.message : String(e)))
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.querySelector('h1')?.focus() }}>Skip to the page</a>
      <header class="side">
        <a class="brand" href="#/overview"><Mark />Relay</a>
        <nav aria-label="Pages">
          <div class="nav">
            <For each={Object.keys(PAGES)}>
              {(page) => <a href={linkOf(page)} aria-current={open() === page ? 'page' : undefined}><Icon name={PAGES[page]!.icon} size={17} />{PAGES[page]!.name}</a>}
            </For>
          </div>
        </nav>
        <div class="side-foot">
          <span class="version">{session()?.version}</span>
          <IconButton icon={isDark() ? 'sun' : 'moon'} label={isDark() ? 'Light colours' : 'Dark colours'} onClick={() => chooseTheme(isDark() ? 'light' : 'dark')} />
          <IconButton icon="out" label="Sign out" onClick={leave} />
        </div>
      </header>
      <main class="main" id="main" ref={main}>
        <Show when={entry()} keyed fallback={<div class="page"><h1 tabindex="-1">There is no such page</h1><p><a class="link" href="#/overview">To the overview</a></p></div>}>
          {(e) => (
            <ErrorBoundary fallback={(err: unknown, again) => <Trouble error={new ApiError(0, 'page', err instanceof Error ? err.message : String(err), null, null)} again={again} />}>
              <Opened page={e.id} isFirst={() => isFirst} />
            </ErrorBoundary>
          )}
        </Show>
      </main>
    </div>
  )
}
