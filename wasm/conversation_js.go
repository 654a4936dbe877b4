package main

import (
	"context"
	"sync"

	"github.com/hack-pad/safejs"

	"github.com/holdfast-dev/holdfast/core"
)

// handle is an open conversation. JavaScript knows it by a number, and lets go
// of it with release.
type handle struct {
	*core.Conversation
	unsubscribe func()
	unfollow    func() // nil if it does not follow
}

// keep gives a conversation a number and describes it to JavaScript.
func (b *bridge) keep(c *core.Conversation) (any, error) {
	state, err := bytesToJS(encodeMessages(c.State(), c.State().Known()))
	if err != nil {
		return nil, err
	}
	b.lastHandle++
	id := b.lastHandle
	b.conversations[id] = &handle{
		Conversation: c,
		unsubscribe:  c.Subscribe(func(change core.Change) { b.announce(id, c, change) }),
	}
	return map[string]any{"handle": id, "expectedSeq": c.ExpectedSeq(), "state": state}, nil
}

// announce tells JavaScript which messages have changed.
func (b *bridge) announce(id int, c *core.Conversation, change core.Change) {
	if state, err := bytesToJS(encodeMessages(c.State(), change.Messages)); err == nil {
		_, _ = b.onChange.Invoke(id, c.ExpectedSeq(), change.Reset, state) // the host's callback does not throw
	}
}

func (b *bridge) conversation(args arguments) (*handle, error) {
	if h, ok := b.conversations[args.number(0)]; ok {
		return h, nil
	}
	return nil, &core.Error{Code: core.ErrClosed, Detail: "the conversation was closed with its store"}
}

func (b *bridge) create(args arguments) (any, error) {
	c, err := core.New(args.text(0), b.store)
	if err != nil {
		return nil, err
	}
	return b.keep(c)
}

func (b *bridge) recover(ctx context.Context, args arguments) (any, error) {
	c, err := core.Recover(ctx, args.text(0), b.store)
	if err != nil {
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

func (b *bridge) receive(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
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

// record appends an event of a kind. The number is the time of receipt or the
// step, the data are the body, the output, or the text of an error.
func (b *bridge) record(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	kind, message, number := core.Kind(args.number(1)), args.text(2), args.number(3)
	if kind == core.KindErrorOccurred {
		return sequence(h.RecordError(ctx, message, args.text(4)))
	}
	data, err := args.bytes(4)
	if err != nil {
		return nil, err
	}
	switch kind {
	case core.KindMessageReceived:
		return sequence(h.RecordMessageReceived(ctx, message, uint64(number), data))
	case core.KindProcessingStarted:
		return sequence(h.RecordProcessingStarted(ctx, message))
	case core.KindStepCompleted:
		return sequence(h.RecordStepCompleted(ctx, message, uint32(number), data))
	case core.KindProcessingFinished:
		return sequence(h.RecordProcessingFinished(ctx, message))
	}
	return nil, &core.Error{Code: core.ErrInvalidArgument, Op: "record", Detail: "there is no such kind of event"}
}

func sequence(at uint64, err error) (any, error) { return at, err }

// recordAll appends events, see decodeEvents, and returns what became of them
// as runs: in turn, how many, and the sequence of the first or what is wrong with
// all of them.
func (b *bridge) recordAll(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	data, err := args.bytes(1)
	if err != nil {
		return nil, err
	}
	events, err := decodeEvents(data)
	if err != nil {
		return nil, err
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

func (b *bridge) refresh(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	return nil, h.Refresh(ctx)
}

func (b *bridge) events(ctx context.Context, args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	events, err := h.Events(ctx, uint64(args.number(1)), args.number(2))
	if err != nil {
		return nil, err
	}
	return bytesToJS(encodeEvents(events))
}

func (b *bridge) follow(args arguments) (any, error) {
	h, err := b.conversation(args)
	if err != nil {
		return nil, err
	}
	if h.unfollow == nil {
		h.unfollow = h.Follow()
	}
	return nil, nil
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
func bytesToJS(data []byte, err error) (safejs.Value, error) {
	if err != nil {
		return safejs.Value{}, err
	}
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
