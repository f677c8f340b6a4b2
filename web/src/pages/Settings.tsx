/* Settings.tsx - the configuration in force, and reading it again. */
import { For, Show, createSignal } from 'solid-js'
import type { Config, Reloaded } from '../api'
import { get, post } from '../lib/client'
import { createAction, createLoad } from '../lib/load'
import { plural, showBytes } from '../lib/numbers'
import { type Theme, chooseTheme, theme } from '../lib/theme'
import { Card, Code, Page, When, toast } from '../ui/bits'
import { Wrong } from '../ui/dialogs'
import { Icon } from '../ui/Icon'
import { Loaded } from '../ui/states'

const THEMES: [Theme, string][] = [['system', 'System'], ['light', 'Light'], ['dark', 'Dark']]

export default function Settings() {
  const config = createLoad(() => true, (_k, signal) => get<Config>('config', {}, signal))
  const [news, setNews] = createSignal<string | null>(null)
  const reload = createAction(async () => {
    setNews(null)
    const done = await post<Reloaded>('config/reload', {})
    setNews(done.warnings.length === 0 ? 'The configuration has been read again and is in force.' : `In force, with ${plural(done.warnings.length, 'remark')}.`)
    toast('The configuration has been read again.')
    config.again()
  })
  return (
    <Page title="Settings" tools={<button type="button" class="btn" disabled={reload.busy()} onClick={() => reload.run()}><Icon name="refresh" />{reload.busy() ? 'Reading…' : 'Read the file again'}</button>}>
      <Show when={reload.error()}>
        <div class="stack-s"><Wrong error={reload.error()} /><p class="soft">What was in force stays in force.</p></div>
      </Show>
      <Show when={news()}>{(text) => <div class="banner" role="status"><Icon name="check" /><span>{text()}</span></div>}</Show>
      <Loaded of={config} rows={10} height={20}>
        {(c) => (
          <>
            <Show when={c().warnings.length > 0}>
              <div class="banner banner-warn"><Icon name="warn" /><ul class="stack-s"><For each={c().warnings}>{(w) => <li class="wrap-any">{w}</li>}</For></ul></div>
            </Show>
            <div class="grid-23">
              <div class="stack">
                <Card title="Gateway">
                  <dl class="facts">
                    <dt>Version</dt><dd>{c().status.version}</dd>
                    <dt>Running since</dt><dd><When at={c().status.started_at} /></dd>
                    <dt>Clients ask</dt><dd><code>{c().status.client_url}</code></dd>
                    <dt>Gateways seen</dt><dd>{c().status.gateways}</dd>
                    <dt>Store</dt><dd><State good={c().status.store_state === 'reachable'} word={c().status.store_state} /> <code>{c().status.store}</code></dd>
                    <dt>Shared</dt><dd><State good={c().status.shared_state !== 'away'} word={c().status.shared_state === 'memory' ? '' : c().status.shared_state} /> <code>{c().status.shared}</code></dd>
                    <dt>Journal</dt><dd>{showBytes(c().status.journal_bytes)} not in the store yet</dd>
                  </dl>
                </Card>
                <Card title="Colours">
                  <div class="seg" role="group" aria-label="Colours">
                    <For each={THEMES}>{([value, name]) => <button type="button" aria-pressed={theme() === value} onClick={() => chooseTheme(value)}>{name}</button>}</For>
                  </div>
                </Card>
              </div>
              <Card title="Configuration in force" aside={<>{c().file ?? 'no file: defaults and variables'}, read <When at={c().loaded_at} /></>}>
                <Code text={c().yaml} label="the configuration in force" />
              </Card>
            </div>
          </>
        )}
      </Loaded>
    </Page>
  )
}

function State(props: { good: boolean; word: string }) {
  return <Show when={props.word}><span class="tag" classList={{ 'tag-good': props.good, 'tag-bad': !props.good }}>{props.word}</span></Show>
}
