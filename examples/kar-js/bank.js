// A bank: accounts that hand money to each other by tail calls, and a ledger that
// hears of every transfer as an event. Start it with: holdfast kar run
const express = require('express')
const { actor, events, sys } = require('kar-sdk')

class Account {
  async balance () { return await actor.state.get(this, 'balance') || 0 }

  async deposit (amount) {
    const balance = await this.balance() + amount
    await actor.state.set(this, 'balance', balance)
    return balance
  }

  // Takes the money, and hands over to the other account: if the process dies
  // before that, nothing was taken; after it, only the deposit is done again.
  async transfer (to, amount) {
    const balance = await this.balance()
    if (balance < amount) throw new Error(`${this.kar.id} has ${balance}, and not ${amount}`)
    await actor.state.set(this, 'balance', balance - amount)
    return actor.tailCall(actor.proxy('Account', to), 'receive', this.kar.id, amount)
  }

  async receive (from, amount) {
    await this.deposit(amount)
    await events.publish('transfers', { from, to: this.kar.id, amount })
    return `${from} paid ${amount} to ${this.kar.id}`
  }

  // A reminder calls this: it adds one, and the caller does not wait.
  async interest () { await this.deposit(1) }
}

class Ledger {
  async start () { await events.subscribe(this, 'note', 'transfers') }

  async note (transfer) {
    const seen = await actor.state.submap.get(this, 'paid', transfer.from) || 0
    await actor.state.submap.set(this, 'paid', transfer.from, seen + transfer.amount)
  }

  async paid () { return await actor.state.submap.getAll(this, 'paid') }
}

const app = express()
app.use(sys.actorRuntime({ Account, Ledger }))
app.listen(process.env.KAR_APP_PORT, '127.0.0.1')
