package runner

import (
	"context"
	"errors"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Step runs fn as a step, see [Steps.Begin] and [Called.Run], with an output of
// type T, which is stored as msgpack: what JavaScript stores and reads, too. With
// one that cannot be encoded, or is nested deeper than 33 levels, the step fails.
//
// An output that is stored and cannot be decoded as T is no failure of the step:
// it ends the attempt, and the message fails, with [core.ErrInvalidArgument], or
// [core.ErrCorrupt] if it is no msgpack at all. To decode takes memory in
// proportion to what is stored.
func Step[T any](ctx context.Context, c Caller, name string, fn func(ctx context.Context, call Call) (T, error), o StepOptions) (value T, err error) {
	called, err := c.steps().Begin(ctx, name, o)
	if err != nil {
		return value, err
	}
	stored, err := called.Run(func(ctx context.Context, call Call) ([]byte, error) {
		output, err := fn(ctx, call)
		if err != nil {
			return nil, err
		}
		encoded, err := msgpack.Marshal(output)
		if err == nil {
			err = check(encoded)
		}
		if err != nil {
			return nil, unstorable(errValue(core.ErrInvalidArgument, "encoded", name, err))
		}
		return encoded, nil
	})
	return decoded[T](called, stored, err)
}

// Wait waits for an answer of type T, see [Called.Wait] and
// [core.Conversation.Answer], whose answers are msgpack. One that cannot be
// decoded is as in [Step].
func Wait[T any](ctx context.Context, c Caller, name string, o WaitOptions) (value T, err error) {
	called, err := c.steps().Begin(ctx, name, StepOptions{Key: o.Key})
	if err != nil {
		return value, err
	}
	stored, err := called.Wait(o)
	return decoded[T](called, stored, err)
}

// Sleep waits until a time, also over the end of the program.
func Sleep(ctx context.Context, c Caller, name string, until time.Time) error {
	_, err := Wait[any](ctx, c, name, WaitOptions{Until: until, Sleep: true})
	return err
}

// decoded decodes what is stored. A step that was skipped, or has slept, has no
// output.
func decoded[T any](c *Called, stored []byte, err error) (value T, _ error) {
	if err != nil || len(stored) == 0 {
		return value, err
	}
	if value, err = decode[T](c.name, stored); err != nil {
		c.steps.attempt.fail(err)
	}
	return value, err
}

func decode[T any](name string, stored []byte) (value T, err error) {
	const how = "decoded; see retry with from"
	if err := check(stored); err != nil {
		return value, errValue(core.ErrCorrupt, how, name, err)
	}
	if err := msgpack.Unmarshal(stored, &value); err != nil {
		return value, errValue(core.ErrInvalidArgument, how, name, err)
	}
	return value, nil
}

// check refuses what no decoder may be given.
func check(value []byte) error {
	if defect := wire.Value(value); defect != "" {
		return errors.New(defect)
	}
	return nil
}

func errValue(code core.Code, how, name string, err error) error {
	return &core.Error{Code: code, Op: "step", Detail: "the output of " + name + " cannot be " + how, Err: err}
}
