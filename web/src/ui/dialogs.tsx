/* dialogs.tsx - Kobalte's dialogs with Relay's looks: focus stays inside, Escape closes, the page behind is inert. */
import { Dialog } from '@kobalte/core/dialog'
import { type JSX, Show, createComputed } from 'solid-js'
import type { ApiError } from '../lib/client'
import { createAction } from '../lib/load'
import { Icon } from './Icon'

/** Who closes a dialog is back where it was opened from, or at the page's heading if that is gone. */
function createReturn(open: () => boolean): (e: Event) => void {
  let opener: Element | null = null
  createComputed(() => {
    if (open()) opener = document.activeElement
  })
  return (e) => {
    e.preventDefault()
    const target = opener?.isConnected && opener !== document.body ? opener : document.querySelector('main h1')
    if (target instanceof HTMLElement) target.focus({ preventScroll: true })
  }
}

export function Box(props: { open: boolean; onClose: () => void; title: string; lede?: string; children: JSX.Element }) {
  const goBack = createReturn(() => props.open)
  return (
    <Dialog open={props.open} onOpenChange={(open) => !open && props.onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay class="veil" />
        <div class="box-place">
          <Dialog.Content class="box" onCloseAutoFocus={goBack}>
            <div class="box-head">
              <Dialog.Title>{props.title}</Dialog.Title>
              <Show when={props.lede}><Dialog.Description>{props.lede}</Dialog.Description></Show>
            </div>
            {props.children}
          </Dialog.Content>
        </div>
      </Dialog.Portal>
    </Dialog>
  )
}

/** At the right edge, over the list that it belongs to. */
export function Sheet(props: { open: boolean; onClose: () => void; title: JSX.Element; children: JSX.Element }) {
  const goBack = createReturn(() => props.open)
  return (
    <Dialog open={props.open} onOpenChange={(open) => !open && props.onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay class="veil" />
        <Dialog.Content class="sheet" onCloseAutoFocus={goBack}>
          <div class="sheet-head">
            <Dialog.Title class="grow clip">{props.title}</Dialog.Title>
            <Dialog.CloseButton class="btn btn-icon" aria-label="Close"><Icon name="close" /></Dialog.CloseButton>
          </div>
          <div class="sheet-body">{props.children}</div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog>
  )
}

export function Wrong(props: { error: ApiError | undefined }) {
  return (
    <Show when={props.error}>
      {(error) => <div class="banner banner-bad" role="alert"><Icon name="warn" /><span>{error().message}</span></div>}
    </Show>
  )
}

/** Asks before something that cannot be taken back. */
export function Confirm(props: { open: boolean; onClose: () => void; title: string; children: JSX.Element; verb: string; act: () => Promise<void> }) {
  const action = createAction(async () => {
    await props.act()
    props.onClose()
  })
  return (
    <Box open={props.open} onClose={() => { action.clear(); props.onClose() }} title={props.title}>
      <div class="box-body">
        <p class="soft wrap-any">{props.children}</p>
        <Wrong error={action.error()} />
      </div>
      <div class="box-foot">
        <button type="button" class="btn" onClick={() => props.onClose()}>Cancel</button>
        <button type="button" class="btn btn-bad-main" disabled={action.busy()} onClick={() => action.run()}>{props.verb}</button>
      </div>
    </Box>
  )
}
