//go:build !js

package idbstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-dev/holdfast/core"
)

// The deadline of a call begins with the call, whatever it waits for: the turn of
// its conversation, the storage, or the outcome of what it has sent.
func TestCallsEndWithinTheirDeadline(t *testing.T) {
	const timeout = 30 * time.Second
	for _, c := range []struct {
		name string
		hold func(*disk)
		late time.Duration // than the deadline, at most
	}{
		{"the storage does not answer", func(d *disk) { d.stall(true) }, abortGrace},
		{"no commit is answered", func(d *disk) { d.inject(fault{step: "commit append", good: "commit append", silent: true}) }, abortGrace},
		{"nothing but keys is answered", func(d *disk) { d.inject(fault{step: "values", good: "values", silent: true}) }, abortGrace},
		{"the storage answers late, and then no values, and writes nothing", func(d *disk) {
			d.stall(true)
			time.AfterFunc(timeout*2/3, func() {
				d.inject(fault{step: "values put", good: "values put", silent: true})
				d.stall(false)
			})
		}, abortGrace},
		{"nothing is answered from the first commit on", func(d *disk) {
			d.inject(fault{step: "commit append", good: allSteps, silent: true})
		}, 2 * abortGrace},
	} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, at once %v", c.name, atOnce), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDisk()
					d.atOnce = atOnce
					s := startFake(t, d, timeout)
					fill(t, s, "other", 1)
					conversation, err := core.Recover(t.Context(), "s", s)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := conversation.RecordProcessingStarted(t.Context(), "m"); err != nil {
						t.Fatal(err)
					}
					c.hold(d)
					var calls sync.WaitGroup
					for round := range 6 { // each in the middle of those before it
						for name, call := range callsOf(conversation, s) {
							calls.Go(func() {
								began := time.Now()
								err := call(context.Background(), fmt.Sprint(round))
								if took := time.Since(began); took > timeout+c.late {
									t.Errorf("%s, round %d: ended after %v with %v", name, round, took, err)
								}
								if code := core.CodeOf(err); err != nil && code != core.ErrBlocked && code != core.ErrOutcomeUnknown && code != core.ErrClosed {
									t.Errorf("%s, round %d: %v", name, round, err)
								}
							})
						}
						time.Sleep(timeout / 4)
					}
					closing := time.Now()
					if err := s.Close(); err != nil || time.Since(closing) > timeout+c.late+rememberWait {
						t.Errorf("closed after %v, %v", time.Since(closing), err)
					}
					calls.Wait()
					d.heal()
				})
			})
		}
	}
}

// callsOf are calls of all kinds that wait for each other.
func callsOf(c *core.Conversation, s *Store) map[string]func(ctx context.Context, id string) error {
	started := core.Event{Kind: core.KindProcessingStarted, MessageID: "m"}
	return map[string]func(context.Context, string) error{
		"send":   func(ctx context.Context, id string) error { _, err := c.Send(ctx, id, 1, nil); return err },
		"cancel": func(ctx context.Context, id string) error { _, err := c.Cancel(ctx, "m"); return ignoring(err) },
		"receive": func(ctx context.Context, id string) error {
			_, err := c.ReceiveMessage(ctx, "received "+id, 1, nil)
			return err
		},
		"record": func(ctx context.Context, id string) error { _, err := c.RecordProcessingStarted(ctx, id); return err },
		"record all": func(ctx context.Context, id string) error {
			recorded := c.RecordAll(ctx, []core.Event{started, started})
			return errors.Join(recorded[0].Err, recorded[1].Err)
		},
		"begin to record": func(ctx context.Context, id string) error {
			settled := make(chan core.Recorded, 1)
			c.BeginRecord(started, func(r core.Recorded) { settled <- r })
			return (<-settled).Err
		},
		"refresh": func(ctx context.Context, id string) error { return c.Refresh(ctx) },
		"events":  func(ctx context.Context, id string) error { _, err := c.Events(ctx, 0, 9); return err },
		"recover": func(ctx context.Context, id string) error {
			_, err := core.Recover(ctx, "other", s)
			return ignoring(err)
		},
		"verify": func(ctx context.Context, id string) error { _, err := core.Verify(ctx, "other", s); return err },
		"append late": func(ctx context.Context, id string) error {
			_, err := s.Append(ctx, "other", 1, nil)
			return ignoring(err)
		},
		"save snapshot": func(ctx context.Context, id string) error { return c.SaveSnapshot(ctx) },
		"delete":        func(ctx context.Context, id string) error { return s.Delete(ctx, "third") },
	}
}

// ignoring passes over what an error says of the data.
func ignoring(err error) error {
	switch core.CodeOf(err) {
	case core.ErrBlocked, core.ErrOutcomeUnknown, core.ErrClosed:
		return err
	default:
		return nil
	}
}
