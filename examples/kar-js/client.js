// Opens accounts, moves money in circles, and checks that none is lost or made.
const { actor, sys } = require('kar-sdk')

const account = id => actor.proxy('Account', id)
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function main () {
  const run = Date.now()
  const names = ['anna', 'bert', 'cleo'].map(name => `${name}-${run}`)
  const ledger = actor.proxy('Ledger', `ledger-${run}`)
  await actor.call(ledger, 'start')
  for (const name of names) await actor.call(account(name), 'deposit', 100)

  let moved = 0
  for (let n = 0; n < 30; n++) {
    const amount = 1 + n % 4
    moved += amount
    await actor.call(account(names[n % 3]), 'transfer', names[(n + 1) % 3], amount)
  }
  await actor.call(account(names[0]), 'transfer', names[1], 1000000)
    .then(() => { throw new Error('a transfer without cover was made') }, () => console.log('refused: not enough money'))

  const balances = await Promise.all(names.map(name => actor.call(account(name), 'balance')))
  console.log('balances', balances.join(' '), 'total', balances.reduce((a, b) => a + b))

  await actor.reminders.schedule(account(names[0]), 'interest', { id: 'interest', targetTime: new Date(), period: '50ms' })
  while (await actor.call(account(names[0]), 'balance') < balances[0] + 3) await sleep(20)
  await actor.reminders.cancel(account(names[0]), 'interest')
  console.log('interest came three times')

  const sum = paid => Object.values(paid).reduce((a, b) => a + b, 0)
  while (sum(await actor.call(ledger, 'paid')) < moved) await sleep(20)
  console.log('the ledger has heard of', sum(await actor.call(ledger, 'paid')))
}

main().then(() => 0, err => { console.error(err); return 1 }).then(async code => {
  await sys.shutdown()
  process.exit(code)
})
