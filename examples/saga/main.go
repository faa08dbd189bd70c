// Command saga fulfils orders: charge a card, ask a human if it is much, ship,
// and give the money back if that comes to nothing.
//
//	go run ./examples/saga
//	curl -X POST localhost:7070/v1/workflows/order/o1 -d '{"article":"anvil","count":3,"address":"Elm Street 1"}'
//	curl -X POST localhost:7070/v1/workflows/order/o1/queries/stage
//	curl -X POST localhost:7070/v1/workflows/order/o1/signals/address -d '"Oak Street 2"'
//
// Who is to approve is asked in the log of the server, with the command that
// answers.
//
// Invariant 1: this package decides nothing but what to serve, and plays the card
// company, the human's mailbox and the warehouse.
//
// The application is package shop; this is not where to look for it.
package main

import (
	"context"
	"log/slog"

	"github.com/holdfast-io/holdfast/examples/saga/shop"
	"github.com/holdfast-io/holdfast/server"
)

// world says what it would do.
type world struct{}

var _ shop.World = world{}

func (world) Charge(_ context.Context, p shop.Payment) error {
	slog.Info("charged", "token", p.Token, "order", p.Order, "cents", p.Cents)
	return nil
}

func (world) Refund(_ context.Context, token string) error {
	slog.Info("refunded", "token", token)
	return nil
}

func (world) Ask(_ context.Context, q shop.Question) error {
	slog.Info("may this order be shipped?", "order", q.Order, "cents", q.Cents,
		"answer", "curl -X POST localhost:7070/v1/promises/"+q.Reply.ID+"/resolve -d true")
	return nil
}

func (world) Ship(_ context.Context, p shop.Parcel) error {
	if p.Article == "unicorn" {
		return shop.ErrSoldOut.Withf("there are no unicorns")
	}
	slog.Info("shipped", "token", p.Token, "order", p.Order, "address", p.Address)
	return nil
}

func (world) Recall(_ context.Context, token string) error {
	slog.Info("called back", "token", token)
	return nil
}

func main() {
	prices := map[string]int64{"anvil": 25_000, "rope": 900, "unicorn": 100}
	server.Main((&shop.Shop{World: world{}, Prices: prices, Patience: shop.PatienceDefault}).App())
}
