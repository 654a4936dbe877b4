package main

import (
	"context"
	"runtime"
	"sync"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
)

// handle is an open conversation. JavaScript knows it by a number, and lets go
// of it with release.
type handle struct {
	*core.Conversation
	unsubscribe func()
	unfollow    context.CancelFunc // nil if it does not follow
	unfollowed  error              // why it can follow no more
	unread      int                // the first message that rows has not returned
}

// keep gives a conversation a number and describes it to JavaScript, which gets
// the messages with rows.
func (b *bridge) keep(c *core.Conversation) (any, error) {
	b.lastHandle++
	id := b.lastHandle
	b.conversations[id] = &handle{
		Conversation: c,
		unsubscribe:  c.Subscribe(func(change core.Change) { b.announce(id, c, change) }),
	}
	return map[string]any{"handle": id, "expectedSeq": c.ExpectedSeq()}, nil
}

// announce reports a change to the host, in the outbox if that is open.
func (b *bridge) announce(id int, c *core.Conversation, change core.Change) {
	rows := c.State().ChangedRows(change)
	if b.outbox.state() == outboxOpen {
		b.outbox.change(id, c.ExpectedSeq()-1, rows)
		return
	}
	_, _ = b.changed.Invoke(id, c.ExpectedSeq(), change.Reset, address(rows), len(rows)) // the host's callback does not throw
	runtime.KeepAlive(rows)
}

// rowsBytes is about what one call of rows returns: no page stutters while that
// much is encoded here and decoded there.
const rowsBytes = 256 << 10

// rows returns a part of the state of a conversation that was just opened, and
// whether there is more.
func (b *bridge) rows(args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	var rows []byte
	rows, h.unread = h.State().Rows(h.unread, rowsBytes)
	part, err := bytesToJS(rows)
	return map[string]any{"rows": part, "more": h.unread > 0}, err
}

func (b *bridge) conversation(args arguments) (*handle, error) {
	if h, ok := b.conversations[args.number(0)]; ok {
		return h, nil
	}
	return nil, errClosed
}

var errClosed = &core.Error{Code: core.ErrClosed, Detail: "the conversation was closed with its store"}

func (b *bridge) create(args arguments) (any, error) {
	c, err := core.New(args.text(0), b.store)
	if err != nil {
		return nil, err
	}
	return b.keep(c)
}

func (b *bridge) recover(ctx context.Context, args arguments) (any, error) {
	number := args.number(1)
	if number == 0 {
		c, err := core.Recover(ctx, args.text(0), b.store)
		if err != nil {
			return nil, err
		}
		return b.keep(c)
	}
	t, inTurn := b.turns.waiting[number]
	if !inTurn {
		return nil, errStopped
	}
	c, err := core.RecoverUnlessLost(ctx, args.text(0), b.store)
	if err != nil {
		t.end(err)
		return nil, err
	}
	return b.keep(c)
}

func (b *bridge) clone(args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	return b.keep(h.Clone())
}

func (b *bridge) receive(ctx context.Context, h *handle, args arguments) (any, error) {
	body, err := args.bytes(3)
	if err != nil {
		return nil, err
	}
	decision, err := h.ReceiveMessage(ctx, args.text(1), uint64(args.number(2)), body)
	if err != nil {
		return nil, err
	}
	switch decision.Kind {
	case core.Skip:
		return -2, nil
	case core.Start:
		return -1, nil
	default:
		return decision.Step, nil
	}
}

// record appends the event in the inbox, without a switch to another goroutine
// where it can be appended at once.
//
//lint:ignore U1000 the host calls it
//go:wasmexport holdfastRecord
func record() {
	b := &program
	posted := b.read()
	h, ok := b.conversations[posted.handle]
	if !ok {
		b.answer(posted.call, nil, errClosed)
		return
	}
	h.BeginRecord(posted.event, func(recorded core.Recorded) {
		if recorded.Err != nil || b.outbox.state() == outboxShut {
			b.answer(posted.call, recorded.Sequence, recorded.Err)
		} else {
			b.outbox.recorded(recorded.Sequence) // for the host, which has reported the commit
		}
	})
}

// recordAll appends so many events, posted one after the other. It returns the
// outcomes as runs: in turn how many events, and the sequence of the first or
// the error of all of them.
func (b *bridge) recordAll(ctx context.Context, h *handle, args arguments) (any, error) {
	data, err := args.bytes(1)
	if err != nil {
		return nil, err
	}
	events := make([]core.Event, args.number(2))
	for i := range events {
		events[i], data = nextPosted(data)
	}
	var runs []any
	recorded := h.RecordAll(ctx, events)
	for i := 0; i < len(recorded); {
		n, first := 1, recorded[i]
		for first.Err == nil && i+n < len(recorded) && recorded[i+n] == (core.Recorded{Sequence: first.Sequence + uint64(n)}) {
			n++
		}
		if i += n; first.Err != nil {
			runs = append(runs, n, failure(first.Err))
		} else {
			runs = append(runs, n, first.Sequence)
		}
	}
	return runs, nil
}

func (b *bridge) refresh(ctx context.Context, h *handle, args arguments) (any, error) {
	return nil, h.Refresh(ctx)
}

func (b *bridge) events(ctx context.Context, h *handle, args arguments) (any, error) {
	events, err := h.Events(ctx, uint64(args.number(1)), args.number(2))
	if err != nil {
		return nil, err
	}
	return bytesToJS(encodeEvents(events))
}

// note appends a note. The sixth argument is the id of the one that is to be the last
// of its type before it, "" for none, undefined for any.
func (b *bridge) note(ctx context.Context, h *handle, args arguments) (any, error) {
	data, err := args.bytes(4)
	if err != nil {
		return nil, err
	}
	note := core.Note{Type: args.text(1), ID: args.text(2), At: uint64(args.number(3)), Data: data}
	o := core.NoteOptions{IfExists: args.flag(6)}
	if last := args.text(5); !args.value(5).IsUndefined() {
		o.IfLast = &last
	}
	return changed(h.NoteWith(ctx, note, o))
}

// setMetadata takes keys and values in turn; an undefined value removes its key. The
// third argument is whether the conversation must exist.
func (b *bridge) setMetadata(ctx context.Context, h *handle, args arguments) (any, error) {
	list := args.list(1)
	patch := make(map[string][]byte, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		value, err := list.bytes(i + 1)
		if err != nil {
			return nil, err
		}
		patch[list.text(i)] = value
	}
	return nil, h.SetMetadataWith(ctx, patch, core.MetadataOptions{IfExists: args.flag(2)})
}

func (b *bridge) follow(args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	if h.unfollow == nil {
		id := args.number(0)
		ctx, unfollow := context.WithCancel(context.Background())
		h.unfollow, h.unfollowed = unfollow, nil
		go func() {
			if err := h.Follow(ctx); err != nil && ctx.Err() == nil {
				h.unfollowed = err
				b.announce(id, h.Conversation, core.Change{}) // who is told asks again
			}
		}()
	}
	return nil, h.unfollowed
}

func (b *bridge) unfollow(args arguments) (any, error) {
	if h, err := b.conversation(args); err == nil && h.unfollow != nil {
		h.unfollow()
		h.unfollow = nil
	}
	return nil, nil
}

func (b *bridge) release(args arguments) (any, error) {
	b.forget(args.number(0))
	return nil, nil
}

func (b *bridge) forget(id int) {
	h, ok := b.conversations[id]
	if !ok {
		return
	}
	h.unsubscribe()
	if h.unfollow != nil {
		h.unfollow()
	}
	delete(b.conversations, id)
}

var uint8Array = sync.OnceValues(func() (safejs.Value, error) { return safejs.Global().Get("Uint8Array") })

// bytesToJS copies bytes into a new Uint8Array.
func bytesToJS(data []byte) (safejs.Value, error) {
	class, err := uint8Array()
	if err != nil {
		return safejs.Value{}, err
	}
	array, err := class.New(len(data))
	if err != nil {
		return safejs.Value{}, err
	}
	_, err = safejs.CopyBytesToJS(array, data)
	return array, err
}

// send, cancel, retry, resolve and answer return whether they have changed
// something.

func (b *bridge) send(ctx context.Context, h *handle, args arguments) (any, error) {
	body, err := args.bytes(3)
	if err != nil {
		return nil, err
	}
	return changed(h.SendWith(ctx, args.text(1), uint64(args.number(2)), body, core.SendOptions{
		IfExists: args.flag(4), After: args.text(5), First: args.flag(6), Interrupt: args.flag(7),
	}))
}

func (b *bridge) cancel(ctx context.Context, h *handle, args arguments) (any, error) {
	return changed(h.Cancel(ctx, args.text(1)))
}

// retry takes the index to retry from as its third argument, or -1.
func (b *bridge) retry(ctx context.Context, h *handle, args arguments) (any, error) {
	if from := args.number(2); from >= 0 {
		return changed(h.RetryFrom(ctx, args.text(1), uint32(from)))
	}
	return changed(h.Retry(ctx, args.text(1)))
}

func (b *bridge) resolve(ctx context.Context, h *handle, args arguments) (any, error) {
	return changed(h.ResolveStep(ctx, args.text(1), uint32(args.number(2)), args.flag(3)))
}

func (b *bridge) giveAnswer(ctx context.Context, h *handle, args arguments) (any, error) {
	answer, err := args.bytes(3)
	if err != nil {
		return nil, err
	}
	return changed(h.Answer(ctx, args.text(1), uint32(args.number(2)), answer))
}

func changed(did bool, err error) (any, error) { return did, err }
