/* SignIn.tsx - the admin key, or an address that signs in once. */
import { Show, createEffect, createSignal, on, onCleanup, onMount } from 'solid-js'
import { address, go } from '../lib/address'
import { ApiError, askSession, signIn } from '../lib/client'
import { createAction } from '../lib/load'
import { Field } from '../ui/bits'
import { Mark } from '../ui/Icon'

export function SignIn() {
  const [key, setKey] = createSignal('')
  const [wait, setWait] = createSignal(0)
  let input!: HTMLInputElement

  const action = createAction(async (how: { key: string } | { token: string }) => {
    try {
      await signIn(how)
      setKey('')
    } catch (e) {
      if (e instanceof ApiError && e.status === 429) setWait(e.retryAfter ?? 5)
      throw e
    } finally {
      if ('token' in how) go('#/overview', 'replace') // a token works once: it has no place in the history
    }
  })
  const timer = setInterval(() => setWait((s) => Math.max(0, s - 1)), 1000)
  onCleanup(() => clearInterval(timer))

  onMount(() => {
    document.title = 'Sign in · Relay'
    input.focus()
  })
  createEffect(on(() => address().page === 'enter', (isToken) => {
    if (!isToken) return
    const token = address().query.get('token')
    if (token) action.run({ token })
    else askSession().catch(() => undefined).finally(() => go('#/overview', 'replace'))
  }))
  const submit = (e: Event) => {
    e.preventDefault()
    if (key().trim() !== '') action.run({ key: key().trim() })
  }
  const wrong = () => action.error() && (wait() > 0 ? `Too many tries. Wait ${wait()} s.` : action.error()!.message)
  return (
    <main class="door">
      <form onSubmit={submit} autocomplete="on">
        <h1 class="brand"><Mark />Relay</h1>
        {/* For password managers: there is one administrator. */}
        <input type="text" name="username" autocomplete="username" value="admin" hidden />
        <Field label="Admin key" wrong={wrong() ?? null} hint="It is in data/admin-key, or what admin.key of the configuration says.">
          {(ids) => (
            <input
              {...ids} ref={input} class="input" type="password" name="password" autocomplete="current-password" spellcheck={false} required
              value={key()} onInput={(e) => setKey(e.currentTarget.value)}
            />
          )}
        </Field>
        <button type="submit" class="btn btn-main" disabled={action.busy() || wait() > 0}>
          <Show when={action.busy()} fallback="Sign in">Signing in…</Show>
        </button>
        <p class="quiet"><code>relay dashboard</code> prints an address that signs in once.</p>
      </form>
    </main>
  )
}
