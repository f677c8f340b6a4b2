/* keyform.ts - a key as the fields of a form, and back. What a field cannot mean is said beside it. */
import type { BudgetPeriod, Key, KeyDraft } from '../api'
import { fromInput, toInput, toTime } from './time'

export interface KeyFields {
  name: string
  rpm: string
  tpm: string
  budget: string
  period: BudgetPeriod
  models: string
  group: string
  tags: string
  expires: string
}

export function fieldsOf(key: Key | null): KeyFields {
  return {
    name: key?.name ?? '',
    rpm: key?.rpm?.toString() ?? '',
    tpm: key?.tpm?.toString() ?? '',
    budget: key?.budget_usd ?? '',
    period: key?.budget_period ?? 'month',
    models: key?.models.join(', ') ?? '',
    group: key?.cache_group ?? '',
    tags: Object.entries(key?.tags ?? {}).map(([k, v]) => `${k}=${v}`).join(', '),
    expires: key?.expires_at ? toInput(Date.parse(key.expires_at)) : '',
  }
}

export type Wrongs = Partial<Record<keyof KeyFields, string>>

const list = (text: string) => text.split(',').map((part) => part.trim()).filter((part) => part !== '')

function limitOf(text: string): number | null | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return null
  return /^\d{1,12}$/.test(trimmed) ? Number(trimmed) : undefined
}

export function draftOf(f: KeyFields): { draft: KeyDraft; wrong: Wrongs } {
  const wrong: Wrongs = {}
  const rpm = limitOf(f.rpm)
  const tpm = limitOf(f.tpm)
  if (f.name.trim() === '') wrong.name = 'A key needs a name.'
  if (rpm === undefined) wrong.rpm = 'A whole number; 0 for no limit.'
  if (tpm === undefined) wrong.tpm = 'A whole number; 0 for no limit.'
  const budget = f.budget.trim().replace(/^\$/, '')
  if (budget !== '' && !/^\d{1,7}(\.\d{1,12})?$/.test(budget)) wrong.budget = 'An amount in dollars, such as 2.50.'
  const tags: Record<string, string> = {}
  for (const part of list(f.tags)) {
    const cut = part.indexOf('=')
    if (cut < 1) wrong.tags = 'name=value, with commas between.'
    else tags[part.slice(0, cut).trim()] = part.slice(cut + 1).trim()
  }
  const expires = f.expires === '' ? null : fromInput(f.expires)
  if (f.expires !== '' && expires === null) wrong.expires = 'A date and a time.'
  return {
    wrong,
    draft: {
      name: f.name.trim(), rpm: rpm ?? null, tpm: tpm ?? null, budget_usd: budget === '' ? null : budget, budget_period: budget === '' ? null : f.period,
      models: list(f.models), cache_group: f.group.trim() || null, tags, expires_at: expires === null ? null : toTime(expires),
    },
  }
}

/** Only what is another than before: two people who edit different fields do not undo each other's work. */
export function changesOf(before: KeyFields, after: KeyFields): KeyDraft {
  const old = draftOf(before).draft
  const now = draftOf(after).draft
  const changed: KeyDraft = {}
  for (const name of Object.keys(now) as (keyof KeyDraft)[]) {
    if (JSON.stringify(old[name]) !== JSON.stringify(now[name])) Object.assign(changed, { [name]: now[name] })
  }
  if ('budget_usd' in changed || 'budget_period' in changed) Object.assign(changed, { budget_usd: now.budget_usd, budget_period: now.budget_period })
  return changed
}
