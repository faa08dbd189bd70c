package ingress_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-io/holdfast/internal/ingress"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// Goal: whoever follows the pages of a list sees every entry once, and no page
// is larger than it may be. Method: lists are cut as a server cuts them, and
// followed to their end.

// TestPagesOfWhatStoppedShowEveryEntryOnce, whatever the limit, and keys that
// are hard on a cursor.
func TestPagesOfWhatStoppedShowEveryEntryOnce(t *testing.T) {
	var parked []msg.Parked
	var letters []msg.DeadLetter
	for n, key := range []string{"\x00", "\x00\x00", "a", "a/b", "€", "\U0010ffff"} {
		parked = append(parked, msg.Parked{Target: msg.Ref{Kind: "account", Key: key}})
		letters = append(letters, deadAt(n))
	}
	for limit := 1; limit <= len(parked)+1; limit++ {
		seen := follow(t, func(after string) (int, string) {
			page, next := ingress.PageOfParked(behind(parked, after, limit+1, func(p *msg.Parked) string { return p.Place() }), limit)
			return len(page), next
		})
		lost := follow(t, func(after string) (int, string) {
			page, next := ingress.PageOfDeadLetters(behind(letters, after, limit+1, func(d *msg.DeadLetter) string { return d.Place() }), limit)
			return len(page), next
		})
		if want := fmt.Sprint(sizes(len(parked), limit)); fmt.Sprint(seen) != want || fmt.Sprint(lost) != want {
			t.Errorf("limit %d: pages of %v and %v, want %s", limit, seen, lost, want)
		}
	}
}

// follow asks for pages until there is no next, and gives their sizes.
func follow(t *testing.T, ask func(after string) (size int, next string)) (pages []int) {
	t.Helper()
	for next := ""; ; {
		after, err := ingress.ParseCursor(next)
		if err != nil {
			t.Fatalf("the cursor %q: %v", next, err)
		}
		var size int
		size, next = ask(after)
		pages = append(pages, size)
		if next == "" {
			return pages
		}
	}
}

// behind is what a server gives of a list.
func behind[E any](list []E, after string, limit int, place func(*E) string) (found []E) {
	for n := range list {
		if place(&list[n]) > after && len(found) < limit {
			found = append(found, list[n])
		}
	}
	return found
}

func sizes(total, limit int) (pages []int) {
	for ; total > limit; total -= limit {
		pages = append(pages, limit)
	}
	return append(pages, total)
}

// TestAPageOfDeadLettersIsBoundedByBytes, but for its first: every page gets on.
func TestAPageOfDeadLettersIsBoundedByBytes(t *testing.T) {
	var letters []msg.DeadLetter
	for n, mebibytes := range []int{7, 7, 7, 20, 1, 1} {
		d := deadAt(n)
		d.Message.Payload.Body = make([]byte, mebibytes<<20)
		letters = append(letters, d)
	}
	got := follow(t, func(after string) (int, string) {
		page, next := ingress.PageOfDeadLetters(behind(letters, after, 101, func(d *msg.DeadLetter) string { return d.Place() }), 100)
		return len(page), next
	})
	if want := "[2 1 1 2]"; fmt.Sprint(got) != want {
		t.Errorf("pages of %v, want %s", got, want)
	}
}

// TestACursorOfSomebodyElseIsRefused, and says where one is found.
func TestACursorOfSomebodyElseIsRefused(t *testing.T) {
	if _, err := ingress.ParseCursor("not a cursor"); err == nil || err.Code != msg.CodeInvalidArgument {
		t.Errorf("got %v, want %s", err, msg.CodeInvalidArgument)
	}
}
