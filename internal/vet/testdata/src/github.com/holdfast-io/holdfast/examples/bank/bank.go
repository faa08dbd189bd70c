// Package bank is a program that uses Holdfast, like any other.
package bank

import "time"

func Open() { time.Sleep(1) }
