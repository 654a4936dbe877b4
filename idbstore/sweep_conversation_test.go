//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

// turn is a call of a conversation, or a few.
type turn struct {
	name string
	do   func(ctx context.Context, k keeper, c *core.Conversation) (answer any, err error)
	// behind says that another tab has appended what the conversation has not read.
	behind bool
	// parts is how many calls it makes in a row, if not one. It goes on where it was.
	parts int
	// again says that it may be called again whatever has become of it.
	again bool
	// unsettled says that nobody finds out what has become of the write.
	unsettled bool
}

func recording(e core.Event) func(context.Context, keeper, *core.Conversation) (any, error) {
	return func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		r := c.RecordAll(ctx, []core.Event{e})[0]
		return r.Sequence, r.Err
	}
}

// beginning records without a goroutine that waits.
func beginning(e core.Event) func(context.Context, keeper, *core.Conversation) (any, error) {
	return func(_ context.Context, _ keeper, c *core.Conversation) (any, error) {
		settled := make(chan core.Recorded, 1)
		c.BeginRecord(e, func(r core.Recorded) { settled <- r })
		r := <-settled
		return r.Sequence, r.Err
	}
}

func recovering(id string) func(context.Context, keeper, *core.Conversation) (any, error) {
	return func(ctx context.Context, k keeper, _ *core.Conversation) (any, error) {
		c, err := core.Recover(ctx, id, k)
		if err != nil {
			return nil, err
		}
		return []any{c.ExpectedSeq(), slices.Collect(c.State().Messages())}, nil
	}
}

var turns = []turn{
	{name: "recover", do: recovering("c"), again: true},
	{name: "recover without a snapshot", do: recovering("plain"), again: true},
	{name: "receive", do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		return c.ReceiveMessage(ctx, "new", 1, []byte("body"))
	}},
	{name: "receive, behind another tab", behind: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		return c.ReceiveMessage(ctx, "new", 1, []byte("body"))
	}},
	{name: "record step", do: recording(core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: 1, Output: []byte("x")})},
	{name: "record finished, behind another tab", behind: true, do: recording(core.Event{Kind: core.KindProcessingFinished, MessageID: "m"})},
	{name: "begin to record", do: beginning(core.Event{Kind: core.KindStepCompleted, MessageID: "m", Step: 1, Output: []byte("x")})},
	{name: "begin to record, behind another tab", behind: true, do: beginning(core.Event{Kind: core.KindProcessingFinished, MessageID: "m"})},
	{name: "record all", do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		recorded := c.RecordAll(ctx, []core.Event{
			{Kind: core.KindStepCompleted, MessageID: "m", Step: 1},
			{Kind: core.KindErrorOccurred, MessageID: "m", Error: "no"},
			{Kind: core.KindMessageReceived, MessageID: "n"},
		})
		for _, r := range recorded {
			if core.CodeOf(r.Err) != core.CodeOf(recorded[0].Err) {
				return nil, fmt.Errorf("some of a group fail: %v", recorded)
			}
		}
		return recorded[2].Sequence, recorded[2].Err
	}},
	{name: "refresh", behind: true, again: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		return nil, c.Refresh(ctx)
	}},
	{name: "send", again: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		_, err := c.Send(ctx, "new", 1, []byte("body"))
		return nil, err
	}},
	{name: "send, behind another tab", behind: true, again: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		_, err := c.Send(ctx, "new", 1, []byte("body"))
		return nil, err
	}},
	{name: "cancel, behind another tab", behind: true, again: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		_, err := c.Cancel(ctx, "m")
		return nil, err
	}},
	{name: "events", again: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		events, err := c.Events(ctx, 1, 10)
		return len(events), err
	}},
	{name: "save snapshot", again: true, unsettled: true, do: func(ctx context.Context, _ keeper, c *core.Conversation) (any, error) {
		return nil, c.SaveSnapshot(ctx)
	}},
	{name: "process a message", parts: 5, again: true, do: process},
}

// process goes on with a message where it was left, as an agent does.
func process(ctx context.Context, k keeper, _ *core.Conversation) (any, error) {
	c, err := core.Recover(ctx, "c", k)
	if err != nil {
		return nil, err
	}
	d, err := c.ReceiveMessage(ctx, "job", 1, []byte("body"))
	if err != nil || d.Kind == core.Skip {
		return nil, err
	}
	for step := d.Step; step < 2; step++ {
		if _, err := c.RecordStepCompleted(ctx, "job", step, nil); err != nil {
			return nil, err
		}
	}
	_, err = c.RecordProcessingFinished(ctx, "job")
	return nil, err
}

// converse makes the conversations that turns are about.
func converse(t testing.TB, k keeper) {
	for _, id := range []string{"c", "plain"} {
		c := recovered(t, k, id)
		_, err := c.ReceiveMessage(t.Context(), "m", 1, []byte("body"))
		_, err2 := c.RecordProcessingStarted(t.Context(), "m")
		_, err3 := c.RecordStepCompleted(t.Context(), "m", 0, []byte("output"))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		if id == "c" {
			if err := c.SaveSnapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func recovered(t testing.TB, k keeper, id string) *core.Conversation {
	t.Helper()
	c, err := core.Recover(context.Background(), id, k)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// overtake appends what a conversation has not read yet.
func overtake(t testing.TB, k keeper) {
	if _, err := recovered(t, k, "c").RecordStepCompleted(context.Background(), "m", 9, nil); err != nil {
		t.Fatal(err)
	}
}

// logged is the log of a conversation, without ids and times.
func logged(k keeper) (string, error) {
	entries, err := k.ReadFrom(context.Background(), "c", 0, 1000)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, entry := range entries {
		e, err := core.DecodeEvent(entry.Payload)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d:%v:%s:%d ", entry.Sequence, e.Kind, e.MessageID, e.Step)
	}
	return b.String(), nil
}

// course is a turn and what the model says of it.
type course struct {
	turn
	before, after string // the log
	answer        string
	code          core.Code
}

func coursed(t testing.TB, u turn) course {
	memory := memstore.New()
	converse(t, memory)
	c := recovered(t, memory, "c")
	if u.behind {
		overtake(t, memory)
	}
	v := course{turn: u}
	v.before, _ = logged(memory)
	answer, err := u.do(context.Background(), memory, c)
	v.answer, v.code = told(answer, err), core.CodeOf(err)
	v.after, _ = logged(memory)
	return v
}

// told is the answer of a turn, without the ids.
func told(answer any, err error) string {
	if found, ok := answer.([]any); ok {
		for i := range found[1].([]core.Message) {
			m := &found[1].([]core.Message)[i]
			clear(m.Starts)
			m.Seed = core.EventID{}
		}
	}
	return saying(answer, err)
}

func TestSweepOfTheConversation(t *testing.T) {
	w := newSwept()
	for _, atOnce := range []bool{false, true} {
		furnished := newDisk()
		furnished.atOnce = atOnce
		s := startFake(t, furnished, 0)
		converse(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, u := range turns {
			t.Run(fmt.Sprintf("%s, at once %v", u.name, atOnce), func(t *testing.T) {
				w.sweep(t, furnished.clone, coursed(t, u).play)
			})
		}
	}
	w.report(t, "begin append commit abort wait post values add put get keys")
}

func (v course) play(s *strike) {
	store, peer := s.open(), s.open()
	c := recovered(s, store, "c")
	if v.behind {
		overtake(s, peer)
	}
	s.many = v.parts
	var answer any
	s.call(v.code, func(ctx context.Context) (err error) {
		answer, err = v.do(ctx, store, c)
		return err
	})
	said := core.CodeOf(s.err) == v.code
	switch {
	case said && told(answer, s.err) != v.answer:
		s.failf("answered %s, want %s", told(answer, s.err), v.answer)
	case !said && s.way != nil && s.way.settled && !s.good && !v.unsettled:
		s.failf("it was not settled, though the store has worked again")
	}
	if s.emptied {
		v.checkEmptied(s, said, c, store, peer)
		return
	}
	got, err := logged(peer)
	switch {
	case err != nil:
		s.failf("then the log cannot be read: %v", err)
	case said && got == v.after:
	case v.parts > 0 && !said && strings.HasPrefix(got, v.before) && strings.HasPrefix(v.after, got):
	case !said && got == v.before:
	case !said && got == v.after && core.CodeOf(s.err).Outcome() == core.Unknown:
	default:
		s.failf("the log is %s, want %s, or %s", got, v.before, v.after)
	}
	v.checkState(s, c, peer)
	// Once more, in the next life of the page.
	again := s.open()
	if v.again || got == v.before && v.before != v.after {
		if _, err := v.do(context.Background(), again, recovered(s, again, "c")); err != nil {
			s.failf("once more: %v", err)
		}
		if got, err := logged(peer); err != nil || got != v.after {
			s.failf("once more, and the log is %s, %v, want %s", got, err, v.after)
		}
	}
	s.close(store, peer, again)
}

// checkState checks that the conversation goes on: after a refresh it is what
// another tab recovers.
func (v course) checkState(s *strike, c *core.Conversation, peer *Store) {
	s.Helper()
	if err := c.Refresh(context.Background()); err != nil {
		s.failf("then refresh: %v", err)
	}
	other := recovered(s, peer, "c")
	got, want := slices.Collect(c.State().Messages()), slices.Collect(other.State().Messages())
	if c.ExpectedSeq() != other.ExpectedSeq() || !reflect.DeepEqual(got, want) {
		s.failf("its state is %d %+v, another tab has %d %+v", c.ExpectedSeq(), got, other.ExpectedSeq(), want)
	}
}

func (v course) checkEmptied(s *strike, said bool, c *core.Conversation, store, peer *Store) {
	if said && v.before != v.after && s.written == 0 {
		s.failf("acknowledged, and then it was not there")
	}
	if err := c.Refresh(context.Background()); !errors.Is(err, core.ErrStoreReset) {
		s.failf("then refresh: %v", err)
	}
	again := s.open()
	if got, err := logged(again); err != nil || got != "" {
		s.failf("the log in an emptied store is %s, %v", got, err)
	}
	s.close(store, peer, again)
}
