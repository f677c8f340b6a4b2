/* words.ts - what Relay's short names of reasons mean. */

const REFUSALS: Record<string, string> = {
  tools: 'cannot call tools', vision: 'cannot see images', image_urls: 'takes no image addresses', json: 'has no JSON mode', audio: 'takes no audio',
  files: 'takes no files', context: 'context too short', max_output: 'answers too short', not_allowed: "not on the key's list", only: 'not among those asked for',
  ignored: 'ruled out by the request', unhealthy: 'provider is down', key_rests: 'every provider key rests', model_out: 'model is out for now',
  budget: 'over what the budget has left', max_cost: 'dearer than allowed', unpriced: 'price unknown', no_quality: 'quality unknown', quality: 'below the quality bar',
  latency: 'too unlikely to be quick enough', not_enabled: 'provider is off', reasoning: 'cannot reason', embeddings: 'makes no embeddings', chat: 'makes embeddings only',
  // Of the cache
  score: 'not sure enough that both ask the same', number: 'another number', date: 'another date', time: 'another time', version: 'another version',
  negation: 'one of them is negated', antonym: 'the opposite is asked', entity: 'another name', language: 'another language', script: 'another script',
}

export const refusalWords = (reason: string) => REFUSALS[reason] ?? reason.replaceAll('_', ' ')
