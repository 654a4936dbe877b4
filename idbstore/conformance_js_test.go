package idbstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The fake of fake_test.go and IndexedDB must say the same: here random
// transactions run on both. What the fake takes and a browser refuses, no other
// test would find.
func TestFakeIsLikeTheBrowser(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-model.seed=%d", seed)
	real := must(newJSEngine(freshDatabase(t), true))
	browser, err := real.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer browser.close()
	fake, err := (&fakeEngine{newDisk()}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range *modelOps / 10 {
		p := drawProgram(r)
		if got, want := p.run(t.Context(), fake), p.run(t.Context(), browser); !slices.Equal(got, want) {
			t.Fatalf("program %d:\n%v\nthe fake says\n%s\nthe browser says\n%s", n, p, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for _, db := range []database{fake, browser} {
		db.close()
		if _, err := db.begin(readOnly, recordsStore); said(nil, err) != "storage_unavailable" || !db.lost() {
			t.Errorf("%T after close: %v", db, err)
		}
	}
}

// program is a transaction with its requests.
type program struct {
	mode   mode
	scope  string
	steps  []request
	end    string // commit or abort
	behind request
}

// request is one request of a program. Its answer is waited for at once, or at
// the end.
type request struct {
	step       string
	key, value []byte
	within     keyRange
	limit      int
	store      string
	wait       bool
	index      string
	all        bool // the values, in place of the keys
	listed     listed
}

// whole is the range of all binary keys that programs make.
var whole = keyRange{[]byte{}, []byte{0xff, 0xff, 0xff}}

func drawProgram(r *rand.Rand) program {
	scopes := []string{recordsStore, directoryStore, valuesStore, recordsAndDirectory, allOfStreams, "nothing"}
	p := program{mode: mode(r.IntN(4)), scope: scopes[r.IntN(len(scopes))], end: "commit"}
	if r.IntN(6) == 0 {
		p.end = "abort"
	}
	for range 1 + r.IntN(8) {
		p.steps = append(p.steps, drawRequest(r))
	}
	p.behind = drawRequest(r)
	return p
}

func drawRequest(r *rand.Rand) request {
	steps := []string{"keys", "values", "last", "get", "add", "add", "put", "remove", "in", "list", "list", "listed", "by", "by"}
	stores := []string{recordsStore, snapshotsStore, directoryStore, valuesStore, "nothing"}
	return request{
		step: steps[r.IntN(len(steps))], key: drawKey(r), value: make([]byte, r.IntN(4)), within: keyRange{drawKey(r), drawKey(r)},
		limit: r.IntN(4), store: stores[r.IntN(len(stores))], wait: r.IntN(2) == 0,
		index: []string{recentIndex, dueIndex, "nothing"}[r.IntN(3)], all: r.IntN(2) == 0,
		listed: listed{recent: drawKey(r), due: [][]byte{nil, drawKey(r)}[r.IntN(2)], summary: make([]byte, r.IntN(4))},
	}
}

// drawKey draws neighbours, prefixes of each other, and now and then nothing.
func drawKey(r *rand.Rand) []byte {
	key := make([]byte, r.IntN(4))
	for i := range key {
		key[i] = []byte{0, 1, 'a', 0xff}[r.IntN(4)]
	}
	return key
}

// run returns what every step of the program says, and what is stored then.
func (p program) run(ctx context.Context, db database) (says []string) {
	tx, err := db.begin(p.mode, p.scope)
	if err != nil {
		return []string{said(nil, err)}
	}
	var answers []func()
	first := tx
	for _, q := range p.steps {
		at := len(says)
		says = append(says, "")
		answer := q.make(ctx, &tx)
		if q.wait {
			says[at] = answer()
		} else {
			answers = append(answers, func() { says[at] = answer() })
		}
	}
	for _, answer := range answers {
		answer()
	}
	if p.mode == readOnly {
		first.abort()
		return says
	}
	if p.end == "abort" {
		first.abort()
	} else {
		_ = first.commit() // whether it throws depends on when the browser reports a failure
	}
	err = first.wait(ctx)
	var failure *engineError
	says = append(says, fmt.Sprint(said(nil, err), errors.As(err, &failure) && failure.definite()))
	says = append(says, p.behind.make(ctx, &tx)())
	for _, store := range []string{recordsStore, valuesStore, snapshotsStore, directoryStore} {
		tx, err := db.begin(readOnly, store)
		if err != nil {
			return append(says, said(nil, err))
		}
		keys, values := tx.keys(whole, 0), tx.values(whole, 0)
		says = append(says, saidOf(ctx, keys), saidOf(ctx, values), saidOf(ctx, tx.listed(whole, 0)))
	}
	return says
}

// make makes the request, and returns what waits for its answer.
func (q request) make(ctx context.Context, tx *transaction) func() string {
	now := func(err error) func() string { return func() string { return q.step + " " + said(nil, err) } }
	switch t := *tx; q.step {
	case "keys":
		return waiting(ctx, q.step, t.keys(q.within, q.limit))
	case "values":
		return waiting(ctx, q.step, t.values(q.within, q.limit))
	case "last":
		return waiting(ctx, q.step, t.last(q.within))
	case "get":
		return waiting(ctx, q.step, t.get(q.key))
	case "add":
		return now(t.add(q.key, q.value))
	case "put":
		return now(t.put(q.key, q.value))
	case "remove":
		return now(t.remove(q.within))
	case "list":
		return now(t.list(string(q.key), &q.listed))
	case "listed":
		return waiting(ctx, q.step, t.listed(q.within, q.limit))
	case "by":
		by, err := t.by(q.index)
		switch {
		case err != nil:
			return now(err)
		case q.all:
			return waiting(ctx, q.step, by.listed(q.within, q.limit))
		default:
			return waiting(ctx, q.step, by.keys(q.within, q.limit))
		}
	default:
		other, err := t.in(q.store)
		if err == nil {
			*tx = other
		}
		return now(err)
	}
}

func waiting[T any](ctx context.Context, step string, a answer[T]) func() string {
	return func() string { return step + " " + saidOf(ctx, a) }
}

func saidOf[T any](ctx context.Context, a answer[T]) string {
	found, err := a.wait(ctx)
	return said(found, err)
}

// said tells answers apart, also nothing and no bytes; of an error it is what the
// store makes of it.
func said(found any, err error) string {
	var failure *engineError
	switch {
	case errors.As(err, &failure):
		return string(codeOf(failure))
	case err != nil:
		return err.Error()
	}
	if b, ok := found.([]byte); ok && b == nil {
		return "nothing"
	}
	return fmt.Sprintf("%x", found)
}
