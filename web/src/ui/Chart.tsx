/* Chart.tsx - uPlot with a crosshair, values beside it, keys that move it, and the same data as a table. */
import { For, Show, createEffect, createMemo, createSignal, onCleanup, onMount } from 'solid-js'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { isDark } from '../lib/theme'
import { BUCKET_MS, DAY, type TimeBy, showBucket, showClock, showDay } from '../lib/time'
import { IconButton, Card } from './bits'

export interface Series {
  name: string
  kind: 'bar' | 'line'
  /** A colour's name in tokens.css, and of its swatch. */
  colour: 'spend' | 'cache' | 'route' | 'bad' | 'accent-2'
  /** How high it is drawn; null leaves a gap. */
  values: (number | null)[]
  show: (i: number) => string
  /** Beside its name in the legend. */
  sum?: string
}

export interface TimeChartProps {
  title: string
  times: number[]
  by: TimeBy
  series: Series[]
  axis: (value: number) => string
  /** Its axis has whole numbers only. */
  whole?: boolean
  onZoom: (from: number, to: number) => void
}

const HEIGHT = 188
const WHOLE = Array.from({ length: 13 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat()

const colourOf = (name: Series['colour']) =>
  getComputedStyle(document.documentElement).getPropertyValue(name === 'accent-2' ? '--accent-2' : `--c-${name}`).trim()
const tokenOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Bars stand on one another; what is below zero hangs from it. Later ones are drawn first, behind. */
function stack(series: Series[]): (number | null)[][] {
  const length = series[0]?.values.length ?? 0
  const up = new Array<number>(length).fill(0)
  const down = new Array<number>(length).fill(0)
  return series.map((s) =>
    s.kind === 'line' ? s.values : s.values.map((v, i) => {
      if (v === null) return null
      if (v >= 0) return (up[i]! += v)
      return (down[i]! += v)
    }))
}

function showTick(ms: number, step: number): string {
  if (step >= DAY) return showDay(ms)
  const d = new Date(ms)
  return d.getHours() === 0 && d.getMinutes() === 0 ? showDay(ms) : showClock(ms)
}

function optionsOf(props: TimeChartProps, width: number, move: (u: uPlot) => void): uPlot.Options {
  const font = `11px ${tokenOf('--sans')}`
  const quiet = tokenOf('--text-3')
  const grid = { stroke: tokenOf('--line'), width: 1 }
  const step = BUCKET_MS[props.by]
  const bars = uPlot.paths.bars!({ size: [0.72, 26], radius: 0.12 })
  const drawn = [...props.series].reverse()
  return {
    width, height: HEIGHT, ms: 1, padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: {
      y: false, sync: { key: 'time', setSeries: false }, drag: { x: true, y: false, setScale: false },
      points: { size: 7, fill: (u, i) => u.series[i]!.stroke as unknown as string },
    },
    scales: {
      x: { time: true, range: () => [props.times[0]!, props.times.at(-1)! + step] },
      y: { range: (_u, min, max) => [Math.min(0, min * 1.1), max > 0 ? max * 1.12 : 1] },
    },
    axes: [
      { stroke: quiet, font, grid: { show: false }, ticks: { show: false }, size: 26, gap: 6, space: 64,
        values: (_u, splits, _i, _space, incr) => splits.map((v) => showTick(v, incr)) },
      { stroke: quiet, font, grid, ticks: { show: false }, size: 52, gap: 8, space: 44, ...(props.whole ? { incrs: WHOLE } : {}),
        values: (_u, splits) => splits.map((v) => props.axis(v)) },
    ],
    series: [{}, ...drawn.map((s): uPlot.Series => {
      const colour = colourOf(s.colour)
      return s.kind === 'bar'
        ? { stroke: colour, fill: colour, width: 0, paths: bars, points: { show: false } }
        : { stroke: colour, width: 1.5, points: { show: (u) => u.data[0].length < 3 || isolated(s.values), size: 6, fill: colour }, spanGaps: false }
    })],
    hooks: {
      setCursor: [move],
      setSelect: [(u) => {
        if (u.select.width < 4) return
        const from = u.posToVal(u.select.left, 'x')
        const to = u.posToVal(u.select.left + u.select.width, 'x')
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        props.onZoom(Math.floor(from / step) * step, Math.ceil(to / step) * step)
      }],
    },
  }
}

/** A line through single points with gaps about them would not be seen. */
const isolated = (values: (number | null)[]) => values.some((v, i) => v !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null)

function Plot(props: TimeChartProps) {
  let place!: HTMLDivElement
  let plot: uPlot | undefined
  const [at, setAt] = createSignal<number | null>(null)
  const [left, setLeft] = createSignal(0)
  const [width, setWidth] = createSignal(0)
  const [ours, setOurs] = createSignal(false)
  const [spoken, setSpoken] = createSignal(false)

  onMount(() => {
    const watch = new ResizeObserver(() => setWidth(place.clientWidth))
    watch.observe(place)
    onCleanup(() => watch.disconnect())
  })
  createEffect(() => {
    isDark()
    if (width() === 0 || props.times.length === 0) return
    const half = BUCKET_MS[props.by] / 2
    const data = [props.times.map((t) => t + half), ...stack(props.series).reverse()] as uPlot.AlignedData
    plot?.destroy()
    setAt(null)
    plot = new uPlot(optionsOf(props, width(), (u) => {
      const i = u.cursor.idx
      setAt(i === null || i === undefined || (u.cursor.left ?? -1) < 0 ? null : i)
      setLeft((u.bbox.left / devicePixelRatio) + (u.cursor.left ?? 0))
    }), data, place)
  })
  onCleanup(() => plot?.destroy())

  const key = (e: KeyboardEvent) => {
    const last = props.times.length - 1
    const now = at() ?? last + 1
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[e.key]
    if (e.key === 'Escape') plot?.setCursor({ left: -10, top: -10 })
    if (next === undefined || plot === undefined) return
    e.preventDefault()
    const i = Math.max(0, Math.min(last, next))
    setOurs(true)
    setSpoken(true)
    plot.setCursor({ left: plot.valToPos(plot.data[0][i]!, 'x'), top: 10 })
  }
  const words = createMemo(() => {
    const i = at()
    return i === null ? '' : `${showBucket(props.times[i]!, props.by)}: ${props.series.map((s) => `${s.name} ${s.show(i)}`).join(', ')}`
  })
  return (
    <div
      class="chart" role="group" tabindex="0" aria-roledescription="chart" aria-label={`${props.title}. Left and right arrow keys read its values.`}
      onKeyDown={key} onPointerEnter={() => { setOurs(true); setSpoken(false) }} onPointerLeave={() => setOurs(false)}
      onBlur={() => { setOurs(false); plot?.setCursor({ left: -10, top: -10 }) }}
    >
      <div ref={place} class="plot" aria-hidden="true" />
      <Show when={ours() && at() !== null}>
        <div class="tip" aria-hidden="true" style={{ transform: `translate(${left() > width() / 2 ? `calc(${left() - 12}px - 100%)` : `${left() + 12}px`}, 4px)` }}>
          <p>{showBucket(props.times[at()!]!, props.by)}</p>
          <ul>
            <For each={props.series}>{(s) => <li><i class={`swatch swatch-${s.colour}`} />{s.name}<b>{s.show(at()!)}</b></li>}</For>
          </ul>
        </div>
      </Show>
      <span class="sr" aria-live="polite">{spoken() ? words() : ''}</span>
    </div>
  )
}

/** A card with a chart of time, or the same numbers as a table. */
export function TimeChart(props: TimeChartProps) {
  const [asTable, setAsTable] = createSignal(false)
  return (
    <Card title={props.title} flush={asTable()} actions={
      <IconButton icon={asTable() ? 'chart' : 'table'} label={`${props.title}: show as ${asTable() ? 'a chart' : 'a table'}`} onClick={() => setAsTable(!asTable())} />
    }>
      <Show when={!asTable()} fallback={
        <div class="scroll scroll-y" tabindex="0" role="region" aria-label={props.title}>
          <table class="small">
            <thead><tr><th scope="col">Time</th><For each={props.series}>{(s) => <th scope="col" class="num">{s.name}</th>}</For></tr></thead>
            <tbody>
              <For each={props.times.map((_, i) => props.times.length - 1 - i)}>
                {(i) => <tr><td>{showBucket(props.times[i]!, props.by)}</td><For each={props.series}>{(s) => <td class="num">{s.show(i)}</td>}</For></tr>}
              </For>
            </tbody>
          </table>
        </div>
      }>
        <ul class="legend">
          <For each={props.series}>{(s) => <li><i class={`swatch swatch-${s.colour}`} />{s.name}<Show when={s.sum}><b>{s.sum}</b></Show></li>}</For>
        </ul>
        <Plot {...props} />
      </Show>
    </Card>
  )
}
