package core_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// errUnknown is how the scripted stores say that they cannot tell.
var errUnknown = &core.Error{Code: core.ErrOutcomeUnknown, Op: "append", Stream: "c", Detail: "the answer was lost"}

// TestSettle has a row for every way in which an append with an unknown outcome
// can go on. Before it, the log has one event; the append is at sequence 1.
func TestSettle(t *testing.T) {
	memory := func(s *scripted) core.DurableStore { return s.DurableStore }
	rival := func(t *testing.T, s *scripted, n int) {
		c := recovered(t, "c", memory(s))
		for range n {
			record(t, c, started("rival"))
		}
	}
	remove := func(t *testing.T, s *scripted) {
		if err := memory(s).Delete(t.Context(), "c"); err != nil {
			t.Error(err)
		}
	}
	const landed, lost, late, refused, succeeds = "landed", "lost", "late", "refused", "succeeds"

	tests := []struct {
		name    string
		appends []string
		between func(*testing.T, *scripted) // the first append and the first read
		again   func(*testing.T, *scripted) // the first read and the resend
		after   func(*testing.T, *scripted) // the resend and the next read
		reads   []look
		calls   string
		want    string // "landed", "unknown", or the head of a conflict
		writes  int    // how often the event is in the log then
	}{
		{name: "it landed",
			appends: []string{landed},
			calls:   "append read", want: "landed", writes: 1},
		{name: "it landed, and others went on behind it",
			appends: []string{landed}, between: func(t *testing.T, s *scripted) { rival(t, s, 2) },
			calls: "append read", want: "landed", writes: 1},
		{name: "it landed, and 2000 others behind it",
			appends: []string{landed}, between: func(t *testing.T, s *scripted) { rival(t, s, 2000) },
			calls: "append read", want: "landed", writes: 1},
		{name: "it was lost, the resend succeeds",
			appends: []string{lost, succeeds},
			calls:   "append read append", want: "landed", writes: 1},
		{name: "it lands late, the resend conflicts with it",
			appends: []string{late, succeeds},
			calls:   "append read append read", want: "landed", writes: 1},
		{name: "it lands late, the resend is unknown too",
			appends: []string{late, lost},
			calls:   "append read append read", want: "landed", writes: 1},
		{name: "it was lost, the resend landed unseen",
			appends: []string{lost, landed},
			calls:   "append read append read", want: "landed", writes: 1},
		{name: "both were lost",
			appends: []string{lost, lost},
			calls:   "append read append read", want: "unknown"},
		{name: "it was lost, the resend is refused",
			appends: []string{lost, refused},
			calls:   "append read append read", want: "unknown"},
		{name: "it lands late, the resend is refused",
			appends: []string{late, refused},
			calls:   "append read append read", want: "landed", writes: 1},
		{name: "it was lost, a rival is before the resend",
			appends: []string{lost, succeeds}, again: func(t *testing.T, s *scripted) { rival(t, s, 1) },
			calls: "append read append read", want: "2"},
		{name: "it was lost, a rival is before the resend, which is unknown",
			appends: []string{lost, lost}, again: func(t *testing.T, s *scripted) { rival(t, s, 3) },
			calls: "append read append read", want: "4"},
		{name: "it was lost, the resend conflicts, then it cannot be read",
			appends: []string{lost, succeeds}, again: func(t *testing.T, s *scripted) { rival(t, s, 1) },
			reads: []look{readable, unreadable},
			calls: "append read append read", want: "unknown"},
		{name: "it was lost, the resend landed unseen, and cannot be read",
			appends: []string{lost, landed}, reads: []look{readable, unreadable},
			calls: "append read append read", want: "unknown", writes: 1},
		{name: "it was lost, the resend landed unseen and was deleted",
			appends: []string{lost, landed}, after: remove,
			calls: "append read append read", want: "3"},
		{name: "a rival is there",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { rival(t, s, 1) },
			calls: "append read", want: "2"},
		{name: "a rival is there, several events ahead",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { rival(t, s, 5) },
			calls: "append read", want: "6"},
		{name: "a rival is there, exactly one read ahead",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { rival(t, s, core.ReadBatch) },
			calls: "append read read", want: fmt.Sprint(1 + core.ReadBatch)},
		{name: "a rival is there, two reads ahead",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { rival(t, s, core.ReadBatch+7) },
			calls: "append read read", want: fmt.Sprint(8 + core.ReadBatch)},
		{name: "a rival is there, the second read fails",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { rival(t, s, core.ReadBatch) },
			reads: []look{readable, unreadable},
			calls: "append read read", want: "unknown"},
		{name: "the log was deleted before it",
			appends: []string{lost}, between: remove,
			calls: "append read", want: "2"},
		{name: "it landed, and the log was deleted",
			appends: []string{landed}, between: remove,
			calls: "append read", want: "3"},
		{name: "the log was deleted and written anew",
			appends: []string{lost}, between: func(t *testing.T, s *scripted) { remove(t, s); rival(t, s, 3) },
			calls: "append read", want: "5"},
		{name: "it landed, but cannot be read",
			appends: []string{landed}, reads: []look{unreadable},
			calls: "append read", want: "unknown", writes: 1},
		{name: "it was lost, and cannot be read",
			appends: []string{lost}, reads: []look{unreadable},
			calls: "append read", want: "unknown"},
	}
	for i := range 2 * len(tests) {
		tt, begins := tests[i/2], i%2 == 1
		t.Run(fmt.Sprintf("%s, begun %v", tt.name, begins), func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New()}
			c := newConversation(t, "c", store)
			if begins {
				c = newConversation(t, "c", &beginner{scripted: store})
			}
			record(t, c, received("m", 1, "x"))

			var pending func() (uint64, error) // an append that lands late
			for i, how := range tt.appends {
				store.appends = append(store.appends, func(send func() (uint64, error)) (uint64, error) {
					if i == 1 && tt.again != nil {
						tt.again(t, store)
					}
					if pending != nil {
						if _, err := pending(); err != nil {
							t.Errorf("the late append: %v", err)
						}
						pending = nil
					}
					sequence, err := uint64(0), error(errUnknown)
					switch how {
					case succeeds:
						sequence, err = send()
					case refused:
						err = core.ErrQuotaExceeded
					case late:
						pending = send
					case landed:
						if _, err := send(); err != nil {
							t.Error(err)
						}
					}
					if i == 0 && tt.between != nil {
						tt.between(t, store)
					}
					if i == 1 && tt.after != nil {
						tt.after(t, store)
					}
					return sequence, err
				})
			}
			store.reads, store.calls = tt.reads, nil
			told := 0
			c.Subscribe(func(core.Change) { told++ })

			before := contents(c.State(), "m")
			sequence, err := uint64(0), error(nil)
			if step := completed("m", 0, "out"); begins {
				sequence, err = beginOne(t, c, step)
			} else {
				sequence, err = recordOne(t.Context(), c, step)
			}

			if got := strings.Join(store.calls, " "); got != tt.calls {
				t.Errorf("calls: %s; want %s", got, tt.calls)
			}
			if tt.want == "landed" {
				if err != nil || sequence != 1 || c.ExpectedSeq() != 2 || told != 1 {
					t.Errorf("got sequence %d, %v; then %d expected, told %d times", sequence, err, c.ExpectedSeq(), told)
				}
				if output, ok := c.State().CompletedStep("m", 0); !ok || string(output) != "out" {
					t.Errorf("the state has %q, %v", output, ok)
				}
			} else {
				if c.ExpectedSeq() != 1 || told != 0 || !reflect.DeepEqual(contents(c.State(), "m"), before) {
					t.Errorf("state or position have changed, and %d subscribers were told", told)
				}
				if tt.want == "unknown" {
					var typed *core.Error
					if !errors.Is(err, core.ErrOutcomeUnknown) || !errors.As(err, &typed) || typed.Detail != errUnknown.Detail {
						t.Errorf("got %v, want the original error", err)
					}
					if core.CodeOf(err).Outcome() != core.Unknown {
						t.Errorf("the outcome of %v is %v", err, core.CodeOf(err).Outcome())
					}
				} else {
					var actual uint64
					fmt.Sscan(tt.want, &actual)
					isConflict(t, err, 1, actual)
				}
			}
			writes := 0
			for _, e := range log(t, store.DurableStore, "c") {
				if e.Kind == core.KindStepCompleted {
					writes++
				}
			}
			if writes != tt.writes {
				t.Errorf("the event is in the log %d times, want %d", writes, tt.writes)
			}
		})
	}
}

// TestSettleSeveralPayloads: they are there together or not at all.
func TestSettleSeveralPayloads(t *testing.T) {
	three := [][]byte{[]byte("1"), []byte("2"), []byte("3")}
	land := func(send func() (uint64, error)) (uint64, error) {
		_, _ = send()
		return 0, errUnknown
	}
	lose := refuse(fmt.Errorf("wrapped: %w", errUnknown))
	tests := []struct {
		name    string
		there   [][]byte // before the append, at its position
		appends []step
		head    uint64 // of a conflict; 0 if they landed
	}{
		{"landed", nil, []step{land}, 0},
		{"lost, then landed unseen", nil, []step{lose, land}, 0},
		{"lost, then written", nil, []step{lose}, 0},
		{"others", [][]byte{[]byte("x"), []byte("y"), []byte("z")}, []step{lose}, 3},
		{"fewer others", [][]byte{[]byte("x")}, []step{lose}, 1},
		{"only the first is like ours", [][]byte{[]byte("1"), []byte("y"), []byte("z")}, []step{lose}, 3},
		{"only the last differs", [][]byte{[]byte("1"), []byte("2"), []byte("z"), []byte("z")}, []step{lose}, 4},
		{"only a part is like ours", [][]byte{[]byte("1"), []byte("2")}, []step{lose}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &scripted{DurableStore: memstore.New(), appends: tt.appends}
			if tt.there != nil {
				if _, err := store.DurableStore.Append(t.Context(), "c", 0, tt.there...); err != nil {
					t.Fatal(err)
				}
			}
			err := newConversation(t, "c", store).Write(t.Context(), three...)
			if tt.head > 0 {
				isConflict(t, err, 0, tt.head)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			entries, err := store.DurableStore.ReadFrom(t.Context(), "c", 0, 10)
			if err != nil || len(entries) != 3 {
				t.Errorf("the log has %d entries, %v", len(entries), err)
			}
		})
	}
}

// TestSettleAnEmptyPayload: a tombstone has no payload either, and is not it.
func TestSettleAnEmptyPayload(t *testing.T) {
	store := &scripted{DurableStore: memstore.New(), appends: []step{refuse(errUnknown)}}
	c := newConversation(t, "c", store)
	store.reads = []look{func(func() ([]core.Entry, error)) ([]core.Entry, error) {
		return []core.Entry{tombstone(0)}, nil
	}}
	isConflict(t, c.Write(t.Context(), nil), 0, 1)
}

// TestSettleMoreThanOneReadHolds: a batch larger than a read is compared whole.
func TestSettleMoreThanOneReadHolds(t *testing.T) {
	payloads := make([][]byte, core.ReadBatch+1)
	for i := range payloads {
		payloads[i] = fmt.Append(nil, i)
	}
	land := func(send func() (uint64, error)) (uint64, error) {
		_, _ = send()
		return 0, errUnknown
	}
	store := &scripted{DurableStore: memstore.New(), appends: []step{land}}
	if err := newConversation(t, "c", store).Write(t.Context(), payloads...); err != nil {
		t.Error(err)
	}
}

// TestOnlyAnUnknownOutcomeIsSettled: every other error is an answer.
func TestOnlyAnUnknownOutcomeIsSettled(t *testing.T) {
	for _, code := range core.Codes() {
		if code == core.ErrOutcomeUnknown {
			continue
		}
		store := &scripted{DurableStore: memstore.New(), appends: []step{refuse(code)}}
		_, err := newConversation(t, "c", store).RecordProcessingStarted(t.Context(), "m")
		if !errors.Is(err, code) || len(store.calls) != 1 {
			t.Errorf("%v: got %v after %v", code, err, store.calls)
		}
	}
}

// TestSettleWithACancelledContext: the caller wants to leave, so the outcome
// stays unknown, and the next refresh finds out.
func TestSettleWithACancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store := &scripted{DurableStore: memstore.New()}
	c := newConversation(t, "c", store)
	store.appends = []step{func(send func() (uint64, error)) (uint64, error) {
		_, _ = send()
		cancel()
		return 0, errUnknown
	}}
	unmoved(t, c, func() {
		if _, err := c.RecordProcessingStarted(ctx, "m"); !errors.Is(err, core.ErrOutcomeUnknown) {
			t.Errorf("got %v", err)
		}
	})
	if err := c.Refresh(t.Context()); err != nil || !c.State().IsInProgress("m") {
		t.Errorf("after a refresh: %v, in progress %v", err, c.State().IsInProgress("m"))
	}
}
