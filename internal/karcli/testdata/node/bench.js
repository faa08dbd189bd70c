// The application of the benchmarks, with kar-sdk.
const express = require('express')
const { actor, sys } = require('kar-sdk')

let noted = 0

class Bench {
  async bump () {
    const n = (await actor.state.get(this, 'n') || 0) + 1
    await actor.state.set(this, 'n', n)
    return n
  }

  note () { noted++ }
}

const app = express()
app.get('/noted', (_req, res) => res.send(String(noted)))
app.post('/echo', express.text({ type: '*/*' }), (req, res) => res.type('application/json').send(req.body))
app.use(sys.actorRuntime({ Bench }))
app.listen(process.env.KAR_APP_PORT, '127.0.0.1')
