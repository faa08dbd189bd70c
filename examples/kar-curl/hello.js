// An application for KAR without an SDK: it answers KAR's callbacks itself, and
// keeps the number of visits of each greeter in the actor's state.
const http = require('http')

const runtime = `http://127.0.0.1:${process.env.KAR_RUNTIME_PORT}/kar/v1`

async function greet (id, [who]) {
  const state = `${runtime}/actor/Greeter/${id}/state/visits`
  const visits = Number(await (await fetch(state + '?nilOnAbsent=true')).text()) + 1
  await fetch(state, { method: 'PUT', body: JSON.stringify(visits) })
  return `Hello ${who}, you are visitor ${visits}`
}

http.createServer(async (req, res) => {
  let body = ''
  for await (const chunk of req) body += chunk
  const url = new URL(req.url, 'http://localhost')
  const [, type, id, method] = url.pathname.match(/^\/kar\/impl\/v1\/actor\/([^/]+)(?:\/([^/]+))?(?:\/(.+))?$/) || []
  if (type === 'Greeter' && method === 'greet') {
    res.setHeader('Content-Type', 'application/kar+json')
    res.end(JSON.stringify({ value: await greet(id, JSON.parse(body)) }))
  } else if (type === 'Greeter' && !method) {
    res.end() // the type is known, the actor is activated or deactivated
  } else if (url.pathname === '/hello') {
    res.setHeader('Content-Type', 'text/plain')
    res.end(`Hello ${url.searchParams.get('name') || body || 'world'}\n`)
  } else {
    res.statusCode = 404
    res.end('no such thing\n')
  }
}).listen(process.env.KAR_APP_PORT, '127.0.0.1')
