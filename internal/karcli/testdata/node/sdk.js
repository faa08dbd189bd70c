// Uses everything that kar-sdk exports, against itself, and says "ok" at the end.
const assert = require('assert')
const express = require('express')
const kar = require('kar-sdk')
const { actor, events, sys } = kar

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const until = async (what, holds) => {
  for (let n = 0; n < 500; n++) {
    if (await holds()) return
    await sleep(20)
  }
  throw new Error('never: ' + what)
}

class Thing {
  constructor (id) { this.id = id; this.heard = [] }
  async activate () { this.activated = true }
  async deactivate () {}
  get field () { return 'a field of ' + this.id }
  echo (...args) { return args }
  none () {}
  hear (what) { this.heard.push(what) }
  heardOf () { return this.heard }
  isActivated () { return this.activated }
  fail () { throw new Error('kaboom') }
  async inner (n) { return n + 1 }
  async outer (n) { return await actor.call(this, this, 'inner', n) + 1 }
  async root (id) { return await actor.rootCall(actor.proxy('Thing', id), 'inner', 1) }
  async tells (id) { await actor.tell(this, actor.proxy('Thing', id), 'hear', 'a tell'); return 'told' }
  async promises (id) { const wait = await actor.asyncCall(this, actor.proxy('Thing', id), 'inner', 5); return await wait() }
  tail (id, n) { return actor.tailCall(actor.proxy('Thing', id), 'inner', n) }
  release (n) { return actor.tailCallReleaasingLock(this, 'inner', n) }
  service () { return kar.tailCall('svc', 'double', JSON.stringify({ n: 4 })) }
  async subscribe () { await events.subscribe(this, 'hear', 'topic', { id: 'sub' }) }
}

async function calls (a) {
  assert.deepStrictEqual(await actor.call(a, 'echo', 1, 'two', { three: 3 }), [1, 'two', { three: 3 }])
  assert.strictEqual(await actor.call(a, 'none'), undefined)
  assert.strictEqual(await actor.call(a, 'field'), 'a field of a')
  assert.strictEqual(await actor.call(a, 'isActivated'), true)
  await assert.rejects(actor.call(a, 'fail'))
  await assert.rejects(actor.call(a, 'nothing'))
  assert.strictEqual(await actor.call(a, 'outer', 1), 3)
  assert.strictEqual(await actor.call(a, 'root', 'b'), 2)
  assert.strictEqual(await actor.tell(a, 'hear', 'one'), 'OK')
  assert.strictEqual(await actor.call(a, 'tells', 'a2'), 'told')
  await until('the tell is heard', async () => (await actor.call(actor.proxy('Thing', 'a2'), 'heardOf')).length === 1)
  assert.deepStrictEqual(await actor.call(a, 'heardOf'), ['one'])
  const wait = await actor.asyncCall(a, 'inner', 7)
  assert.strictEqual(await wait(), 8)
  assert.strictEqual(await wait(), 8)
  assert.strictEqual(await actor.call(a, 'promises', 'c'), 6)
  assert.strictEqual(await actor.call(a, 'tail', 'd', 1), 2)
  assert.strictEqual(await actor.call(a, 'release', 2), 3)
  assert.deepStrictEqual(await actor.call(a, 'service'), { doubled: 8 })
}

async function state (a) {
  const { state } = actor
  assert.strictEqual(await state.get(a, 'k'), undefined)
  await state.set(a, 'k', { n: 1 })
  await state.set(a, 'none')
  assert.deepStrictEqual(await state.get(a, 'k'), { n: 1 })
  assert.deepStrictEqual(await state.getAll(a), { k: { n: 1 }, none: {} })
  assert.strictEqual(await state.setMultiple(a, { k: 2, l: 3 }), 1)
  assert.strictEqual(await state.remove(a, 'l'), 1)
  assert.strictEqual(await state.removeSome(a, ['none', 'gone']), 1)
  assert.deepStrictEqual(await state.update(a, { updates: { x: 1 }, removals: ['k'], submapupdates: { m: { a: 1 } }, submapremovals: { m: ['z'] } }), { removed: 1, added: 2 })
  const { submap } = state
  assert.strictEqual(await submap.get(a, 'm', 'a'), 1)
  assert.strictEqual(await submap.get(a, 'm', 'b'), undefined)
  await submap.set(a, 'm', 'b', 2)
  assert.strictEqual(await submap.setMultiple(a, 'm', { b: 3, c: 4 }), 1)
  assert.strictEqual(await submap.contains(a, 'm', 'c'), true)
  assert.strictEqual(await submap.contains(a, 'm', 'd'), false)
  assert.deepStrictEqual(await submap.getAll(a, 'm'), { a: 1, b: 3, c: 4 })
  assert.deepStrictEqual(await submap.keys(a, 'm'), ['a', 'b', 'c'])
  assert.strictEqual(await submap.size(a, 'm'), 3)
  assert.strictEqual(await submap.remove(a, 'm', 'a'), 1)
  assert.strictEqual(await submap.removeSome(a, 'm', ['b', 'z']), 1)
  assert.strictEqual(await submap.removeAll(a, 'm'), 1)
  assert.strictEqual(await state.removeAll(a), 1)
  assert.deepStrictEqual(await state.getAll(a), {})
}

async function reminders (a) {
  const far = new Date('2125-01-01T00:00:00Z')
  await actor.reminders.schedule(a, 'hear', { id: 'far', targetTime: far, period: '5s' }, 'ring')
  const r = await actor.reminders.get(a, 'far')
  assert.deepStrictEqual([r.Actor.Type, r.id, r.path, r.period, r.encodedData], ['Thing', 'far', '/hear', 5e9, '["ring"]'])
  assert.strictEqual((await actor.reminders.get(a)).length, 1)
  assert.strictEqual(await actor.reminders.cancel(a, 'far'), 1)
  assert.strictEqual(await actor.reminders.cancel(a, 'far'), 0)
  await actor.reminders.schedule(a, 'hear', { id: 'now', targetTime: new Date() }, 'ring')
  await until('the reminder fires', async () => (await actor.call(a, 'heardOf')).includes('ring'))
  assert.deepStrictEqual(await actor.reminders.get(a), [])
  assert.strictEqual(await actor.reminders.cancel(a), 0)
}

async function topics (a) {
  assert.strictEqual(await events.createTopic('topic'), 'Created')
  await actor.call(a, 'subscribe')
  const s = await events.getSubscription(a, 'sub')
  assert.deepStrictEqual([s.id, s.path, s.topic], ['sub', '/hear', 'topic'])
  assert.strictEqual((await events.getSubscription(a)).length, 1)
  assert.strictEqual(await events.publish('topic', { n: 1 }), 'OK')
  await until('the event is heard', async () => (await actor.call(a, 'heardOf')).some(e => e.n === 1))
  assert.strictEqual(await events.cancelSubscription(a, 'sub'), 1)
  assert.strictEqual(await events.cancelSubscription(a), 0)
  assert.strictEqual(await events.deleteTopic('topic'), 'OK')
}

async function services () {
  assert.deepStrictEqual(await kar.call('svc', 'double', { n: 4 }), { doubled: 8 })
  assert.strictEqual(await kar.tell('svc', 'double', { n: 4 }), 'OK')
  const wait = await kar.asyncCall('svc', 'double', { n: 5 })
  assert.deepStrictEqual(await wait(), { doubled: 10 })
  const response = await kar.invoke('svc', 'who?x=1', { method: 'GET' })
  assert.deepStrictEqual([response.status, await response.text()], [200, 'GET 1'])
  await assert.rejects(kar.call('svc', 'missing', {}))
}

async function system (a) {
  assert.match((await sys.get('id')).id, /^node-/)
  assert.ok((await sys.get('actors')).Thing.includes('a'))
  assert.ok((await sys.get('sidecar_actors')).Thing.includes('a'))
  assert.deepStrictEqual(Object.values(await sys.get('sidecars')).map(s => [s.actors, s.services]), [[['Thing'], ['svc']]])
  assert.strictEqual(await actor.remove(a), 'OK')
  await until('the actor is gone', async () => !((await sys.get('sidecar_actors')).Thing || []).includes('a'))
}

const app = express()
app.post('/double', express.json(), (req, res) => res.json({ doubled: 2 * req.body.n }))
app.get('/who', (req, res) => res.send(`${req.method} ${req.query.x}`))
app.use(sys.actorRuntime({ Thing }))
app.use(sys.errorHandler)
const server = (process.env.H2C ? sys.h2c(app) : app).listen(process.env.KAR_APP_PORT, '127.0.0.1')

const a = actor.proxy('Thing', 'a')
calls(a).then(() => state(a)).then(() => reminders(a)).then(() => topics(a)).then(services).then(() => system(a))
  .then(() => { console.log('ok'); return 0 }, err => { console.error(err); return 1 })
  .then(async code => {
    await sys.shutdown()
    server.close()
    process.exit(code)
  })
