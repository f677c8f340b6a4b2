/* Icon.tsx - the icons, as paths of one 20 by 20 grid. */
import { For } from 'solid-js'

const SHAPES = {
  overview: ['M3 13h4v4H3z', 'M8 8h4v9H8z', 'M13 3h4v14h-4z'],
  requests: ['M3 5h14', 'M3 10h14', 'M3 15h9'],
  keys: ['M12.5 3.5a4 4 0 1 1-3.2 6.4L4 15.2V17h2.5v-2H8v-1.8l2-2', 'M13.2 6.8h.01'],
  models: ['M10 2.5 16.5 6v8L10 17.5 3.5 14V6z', 'M3.7 6.1 10 9.6l6.3-3.5', 'M10 9.6v7.7'],
  routing: ['M4 16V4', 'M4 12c0-3 2-4 5-4h7', 'M13 5l3 3-3 3', 'M4 16h12', 'M13.5 13.5 16 16l-2.5 2.5'],
  cache: ['M3.5 5.5c0-1.4 2.9-2.5 6.5-2.5s6.500 1.100 6.500 2.500-2.900 2.500-6.500 2.500-6.500-1.100-6.500-2.500z', 'M3.5 5.500v9c0 1.400 2.900 2.500 6.500 2.500s6.500-1.100 6.500-2.500v-9', 'M3.500 10c0 1.400 2.900 2.500 6.500 2.500s6.500-1.100 6.500-2.500'],
  settings: ['M3 6h8', 'M15 6h2', 'M3 14h2', 'M9 14h8', 'M13 4v4', 'M7 12v4'],
  sun: ['M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z', 'M10 2v1.500', 'M10 16.500V18', 'M2 10h1.500', 'M16.500 10H18', 'M4.300 4.300l1.100 1.100', 'M14.600 14.600l1.100 1.100', 'M4.300 15.700l1.100-1.100', 'M14.600 5.400l1.100-1.100'],
  moon: ['M16.500 11.800A6.800 6.800 0 0 1 8.200 3.500a6.800 6.800 0 1 0 8.300 8.300z'],
  out: ['M8 3.500H4.500v13H8', 'M12 6.500 15.500 10 12 13.500', 'M8 10h7.500'],
  refresh: ['M16 10a6 6 0 1 1-1.800-4.300L16 7.500', 'M16 3.500v4h-4'],
  table: ['M3.500 4.500h13v11h-13z', 'M3.500 8.500h13', 'M8.500 8.500v7'],
  chart: ['M3.500 3.500v13h13', 'M6.500 12.500l3-4 2.500 2.500 4-5.500'],
  close: ['M5 5l10 10', 'M15 5 5 15'],
  down: ['M6 8.500l4 4 4-4'],
  plus: ['M10 4v12', 'M4 10h12'],
  copy: ['M7.500 7.500h9v9h-9z', 'M12.500 7.500v-4h-9v9h4'],
  check: ['M4 10.500l4 4 8-9'],
  warn: ['M10 3 18 16.500H2z', 'M10 8v4', 'M10 14.300h.01'],
  away: ['M3 3l14 14', 'M6.500 4.200c1-.300 2.200-.400 3.500-.400 3.600 0 6.500 1.100 6.500 2.500v7', 'M3.500 6.300v8.200c0 1.400 2.900 2.500 6.500 2.500 2.100 0 4-.400 5.200-1'],
  pause: ['M7 5v10', 'M13 5v10'],
  play: ['M6.500 4.500v11l9-5.500z'],
  search: ['M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4z', 'M12.700 12.700 16.500 16.500'],
  arrow: ['M4 10h12', 'M11.500 5.500 16 10l-4.500 4.500'],
  calendar: ['M3.500 5h13v11.500h-13z', 'M3.500 8.500h13', 'M7 3v3.500', 'M13 3v3.500'],
} as const

export type IconName = keyof typeof SHAPES

export function Icon(props: { name: IconName; size?: number }) {
  return (
    <svg
      width={props.size ?? 16} height={props.size ?? 16} viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="1.5"
      stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"
    >
      <For each={SHAPES[props.name]}>{(d) => <path d={d} />}</For>
    </svg>
  )
}

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#5b7cfa" />
      <path d="M7 16h5l3-6 4 12 3-6h3" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  )
}
