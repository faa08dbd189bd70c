// An application of kar-sdk for the crash drill: actors that count.
const fs = require('fs')
const express = require('express')
const { actor, sys } = require('kar-sdk')

if (process.env.KAR_DRILL_PID) fs.writeFileSync(process.env.KAR_DRILL_PID, String(process.pid))

class Counter {
  async get () { return await actor.state.get(this, 'n') || 0 }

  async add (by) {
    const n = (await actor.state.get(this, 'n') || 0) + by
    await actor.state.set(this, 'n', n)
    return n
  }

  async through (other) {
    await actor.tell(this, actor.proxy('Counter', 'sink'), 'add', 1)
    await actor.call(this, actor.proxy('Counter', other), 'add', 1)
    return await this.add(1)
  }

  async chain (other) {
    await this.add(1)
    return actor.tailCall(actor.proxy('Counter', other), 'last')
  }

  async last () {
    await this.add(1)
    return actor.tailCall(actor.proxy('Counter', 'sink'), 'add', 1)
  }

  // The other way round, the call within would commit what was added before it,
  // and another attempt would add it again.
  async twice () {
    await actor.call(this, this, 'add', 1)
    return await this.add(1)
  }
}

const app = express()
app.use(sys.actorRuntime({ Counter }))
app.listen(process.env.KAR_APP_PORT, '127.0.0.1')
