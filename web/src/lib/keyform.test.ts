/* keyform.ts: fields to a draft and back, and what is said about a wrong one. */
import { expect, it } from 'vitest'
import { changesOf, draftOf, fieldsOf } from './keyform'

const empty = fieldsOf(null)

it('leaves to the configuration what is left empty', () => {
  const { draft, wrong } = draftOf({ ...empty, name: ' web ' })
  expect(wrong).toEqual({})
  expect(draft).toEqual({ name: 'web', rpm: null, tpm: null, budget_usd: null, budget_period: null, models: [], cache_group: null, tags: {}, expires_at: null })
})

it('keeps money as the text it is', () => {
  expect(draftOf({ ...empty, name: 'a', budget: '$0.000000000001', period: 'day' }).draft).toMatchObject({ budget_usd: '0.000000000001', budget_period: 'day' })
})

it('says what a field cannot mean', () => {
  const { wrong } = draftOf({ ...empty, rpm: '-1', tpm: '1e3', budget: 'lots', tags: 'a', expires: 'soon' })
  expect(Object.keys(wrong).sort()).toEqual(['budget', 'expires', 'name', 'rpm', 'tags', 'tpm'])
})

it('sends only what has changed, and a budget as a whole', () => {
  const before = { ...empty, name: 'a', budget: '5', rpm: '10' }
  expect(changesOf(before, { ...before, rpm: '0' })).toEqual({ rpm: 0 })
  expect(changesOf(before, { ...before, rpm: '' })).toEqual({ rpm: null })
  expect(changesOf(before, { ...before, budget: '6' })).toEqual({ budget_usd: '6', budget_period: 'month' })
  expect(changesOf(before, { ...before, budget: '' })).toEqual({ budget_usd: null, budget_period: null })
  expect(changesOf(before, { ...before, tags: 'team=x, env=p' })).toEqual({ tags: { team: 'x', env: 'p' } })
  expect(changesOf(before, before)).toEqual({})
})
