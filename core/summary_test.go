package core_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/internal/hostile"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// TestSummaryTellsALife goes through the life of a conversation.
func TestSummaryTellsALife(t *testing.T) {
	store := memstore.New()
	c, err := core.New("chat", store)
	if err != nil {
		t.Fatal(err)
	}
	const ready = -1
	for _, step := range []struct {
		event                    core.Event
		unfinished, waiting, due int
	}{
		{core.Event{Kind: core.KindMessageReceived, MessageID: "a"}, 1, 0, ready},
		{core.Event{Kind: core.KindProcessingStarted, MessageID: "a"}, 1, 0, ready},
		{core.Event{Kind: core.KindStepWaiting, MessageID: "a", Name: "ask", Due: 500}, 1, 0, ready},
		{core.Event{Kind: core.KindProcessingStopped, MessageID: "a", Parked: true, Due: 500}, 1, 1, 500},
		{core.Event{Kind: core.KindMessageReceived, MessageID: "b"}, 2, 1, 500}, // which has to wait for a
		{core.Event{Kind: core.KindStepCompleted, MessageID: "a", Name: "ask"}, 2, 0, ready},
		{core.Event{Kind: core.KindProcessingStopped, MessageID: "a", Parked: true, Pass: true}, 2, 1, ready},
		{core.Event{Kind: core.KindMessageCancelled, MessageID: "b"}, 1, 1, 0},
		{core.Event{Kind: core.KindProcessingStarted, MessageID: "a"}, 1, 0, ready},
		{core.Event{Kind: core.KindProcessingFinished, MessageID: "a"}, 0, 0, 0},
		{core.Event{Kind: core.KindMessageRetried, MessageID: "b"}, 1, 0, ready},
		{core.Event{Kind: core.KindErrorOccurred, MessageID: "b", Error: "no"}, 0, 0, 0},
	} {
		if err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) { return []core.Event{step.event}, nil }); err != nil {
			t.Fatal(err)
		}
		s := listed(t, store, "chat")
		isReady := s.Ready && step.due == ready
		if s.Unfinished != step.unfinished || s.Waiting != step.waiting || !isReady && (s.Ready || s.Due != uint64(step.due)) {
			t.Fatalf("after %s of %s: %+v", step.event.Kind, step.event.MessageID, s)
		}
	}
}

// TestSummariesAreForeseen appends random groups, some of which fail, and compares
// what each has put with what the log says after it.
func TestSummariesAreForeseen(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		memory := memstore.New()
		store := &failing{Store: memory}
		c, err := core.New("chat", store)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			store.fails = r.IntN(5) == 0
			err := c.Update(t.Context(), func(s *core.State) ([]core.Event, error) {
				ahead := s.Clone()
				group := make([]core.Event, 1+r.IntN(4))
				for k := range group {
					group[k] = randomEvent(r, ahead, 10*i+k)
					ahead.Apply(group[k])
				}
				return group, nil
			})
			if err != nil && !store.fails {
				t.Fatal(err)
			}
			if c.ExpectedSeq() == 0 {
				continue
			}
			want := core.SummaryOf("chat", c.State())
			if got := listed(t, memory, "chat"); got != want {
				t.Fatalf("seed %d, group %d: %+v is kept, the state says %+v", seed, i, got, want)
			}
		}
		for range 2 { // from the log, then from a snapshot
			again, err := core.Recover(t.Context(), "chat", memory)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := core.SummaryOf("chat", again.State()), core.SummaryOf("chat", c.State()); got != want {
				t.Fatalf("seed %d: the log says %+v, the state %+v", seed, got, want)
			}
			if err := again.SaveSnapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// failing is a store whose appends fail now and then.
type failing struct {
	*memstore.Store
	fails bool
}

func (s *failing) Begin(ctx context.Context, ended func(error), writes ...core.Write) {
	if s.fails {
		go ended(errors.Join(core.ErrQuotaExceeded))
		return
	}
	s.Store.Begin(ctx, ended, writes...)
}

// TestPlainStepsLeaveTheSummaryAlone: what a runner appends most must cost no more
// for the directory.
func TestPlainStepsLeaveTheSummaryAlone(t *testing.T) {
	memory := memstore.New()
	c, err := core.New("chat", memory)
	if err != nil {
		t.Fatal(err)
	}
	var changed []uint64
	memory.Watch(func(moved core.StreamInfo) {
		if moved.Summary {
			changed = append(changed, moved.Head)
		}
	})
	if _, err := c.RecordMessageReceived(t.Context(), "a", 1, nil); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []core.Kind{core.KindProcessingStarted, core.KindStepStarted, core.KindStepStreamed, core.KindAttemptFailed, core.KindStepCompleted, core.KindProcessingStopped, core.KindProcessingFinished} {
		err := c.Update(t.Context(), func(*core.State) ([]core.Event, error) {
			return []core.Event{{Kind: kind, MessageID: "a", Name: "plan", Attempt: 1, Failure: core.Failure{{Name: "Error"}}}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := []uint64{1, 8}; !slices.Equal(changed, want) {
		t.Fatalf("the heads %v have changed the summary, want %v", changed, want)
	}
}

// TestRecoverMendsTheSummary: the log is the truth.
func TestRecoverMendsTheSummary(t *testing.T) {
	memory := memstore.New()
	for name, damage := range map[string]func(*core.Summary) *core.Summary{
		"absent":  func(*core.Summary) *core.Summary { return nil },
		"another": func(s *core.Summary) *core.Summary { s.Unfinished++; return s },
		"right":   func(s *core.Summary) *core.Summary { return s },
	} {
		c, err := core.New(name, memory)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(t.Context(), "a", 1, nil); err != nil {
			t.Fatal(err)
		}
		want := listed(t, memory, name)
		kept := want
		if err := memory.Mend(t.Context(), name, 1, damage(&kept)); err != nil {
			t.Fatal(err)
		}
		if _, err := core.Recover(t.Context(), name, memory); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, memory, name); got != want {
			t.Fatalf("%s: %+v, want %+v", name, got, want)
		}
	}
	// Of a log without events there is none.
	if err := memory.Mend(t.Context(), "ghost", 0, &core.Summary{ID: "ghost"}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Recover(t.Context(), "ghost", memory); err != nil {
		t.Fatal(err)
	}
	if some, err := memory.List(t.Context(), core.Listing{Prefix: "ghost", Limit: 1}); err != nil || len(some) > 0 {
		t.Fatalf("%+v, error %v", some, err)
	}
}

func TestSummaryBytes(t *testing.T) {
	for want, s := range map[string]core.Summary{
		"9901a463686174cf0000018bcfe56800cf0000018bcfe56801030100cf0000018bcfe56801c414a472656164c400a57469746c65c4055472656573cdce70c7": {ID: "chat", Metadata: stateOf(set("title", []byte("Trees")), set("read", []byte{})).Metadata(), Created: 1_700_000_000_000, Updated: 1_700_000_000_001, Unfinished: 3, Waiting: 1, Due: 1_700_000_000_001},
	} {
		b := core.EncodeSummary(s)
		if hex.EncodeToString(b) != want {
			t.Errorf("%+v is %x", s, b)
		}
		if got, err := core.DecodeSummary(b); err != nil || got != s {
			t.Errorf("%+v, error %v; want %+v", got, err, s)
		}
		for bit := range 8 * len(b) {
			bad := slices.Clone(b)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := core.DecodeSummary(bad); !errors.Is(err, core.ErrCorrupt) {
				t.Errorf("%x: %v", bad, err)
			}
		}
	}
}

// FuzzDecodeSummary feeds the decoder bytes from anywhere, after a right checksum.
func FuzzDecodeSummary(f *testing.F) {
	for _, s := range []core.Summary{{ID: "chat"}, {ID: "\U0001f980", Metadata: stateOf(set("b", nil), set("b", []byte{}), set("a", []byte("x"))).Metadata(), Created: 1, Updated: core.MaxSequence, Unfinished: 300, Waiting: 2, Due: 70_000}} {
		content, _ := wire.Unseal("", core.EncodeSummary(s))
		f.Add(content)
	}
	hostile.Fuzz(f, func(t testing.TB, content []byte) {
		b := wire.Seal("", content)
		var s core.Summary
		var err error
		hostile.BoundMemory(t, b, func() { s, err = core.DecodeSummary(b) })
		switch {
		case err == nil && !bytes.Equal(core.EncodeSummary(s), b):
			t.Errorf("two forms of one summary: %x", b)
		case err != nil && !errors.Is(err, core.ErrCorrupt):
			t.Errorf("untyped: %v", err)
		}
	})
}

func listed(t *testing.T, store core.Directory, id string) core.Summary {
	t.Helper()
	found, err := store.List(t.Context(), core.Listing{IDs: []string{id}})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d summaries of %q, error %v", len(found), id, err)
	}
	return found[0]
}
