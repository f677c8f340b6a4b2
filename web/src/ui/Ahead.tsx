/* Ahead.tsx - rows of the log that are later than the gateway's clock: it has been set back since. No range that ends at the
 * present has them in it, so they are told about. */
import { Show } from 'solid-js'
import type { RequestPage } from '../api'
import { change } from '../lib/address'
import { get } from '../lib/client'
import { createLoad } from '../lib/load'
import { MINUTE, nowMs, showMoment, toTime } from '../lib/time'
import { Icon } from './Icon'

/** Clocks of several gateways differ by a little. */
const MARGIN = 2 * MINUTE
const NEVER = '2200-01-01T00:00:00Z'

export function Ahead() {
  const newest = createLoad(() => true, async (_k, signal) => {
    const { rows } = await get<RequestPage>('requests', { limit: 1, from: toTime(nowMs() + MARGIN), to: NEVER }, signal)
    return rows[0] ? Date.parse(rows[0].at) : null
  })
  return (
    <Show when={newest.data()}>
      {(at) => (
        <div class="banner banner-warn" role="status">
          <Icon name="warn" />
          <span class="grow">The log has requests of the future, up to {showMoment(at())}: a clock was ahead, or has been set back.</span>
          <button type="button" class="btn btn-s" onClick={() => change({ range: 'custom', from: toTime(nowMs() - MINUTE), to: toTime(at() + MINUTE) })}>Show them</button>
        </div>
      )}
    </Show>
  )
}
