/* theme.ts - dark or light: the system's choice until a person makes one. */
import { createEffect, createSignal } from 'solid-js'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'relay-theme'

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : 'system'
  } catch {
    return 'system' // storage can be forbidden
  }
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)')
const [theme, setTheme] = createSignal<Theme>(stored())
const [systemDark, setSystemDark] = createSignal(prefersDark.matches)
prefersDark.addEventListener('change', (e) => setSystemDark(e.matches))

export { theme }
export const isDark = () => (theme() === 'system' ? systemDark() : theme() === 'dark')

export function chooseTheme(next: Theme): void {
  setTheme(next)
  try {
    if (next === 'system') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, next)
  } catch {
    // it then holds until the page is closed
  }
}

export function applyTheme(): void {
  createEffect(() => {
    document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
  })
}
