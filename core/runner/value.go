package runner

import (
	"context"
	"errors"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/internal/wire"
)

// Encode encodes a value as msgpack, which JavaScript reads: for the bodies of
// [core.Conversation.Send] and for answers. Fields of a struct have their Go
// names there, or those of their tags, as in `msgpack:"query"`. One that cannot be
// encoded, or is nested deeper than 33 levels, is [core.ErrInvalidArgument].
func Encode(value any) ([]byte, error) {
	encoded, err := msgpack.Marshal(value)
	if err == nil {
		err = check(encoded)
	}
	if err != nil {
		return nil, &core.Error{Code: core.ErrInvalidArgument, Op: "encode", Detail: "the value cannot be stored", Err: err}
	}
	return encoded, nil
}

// Decode is the inverse of [Encode], for what JavaScript has stored, too. No bytes
// are the zero value: a body, an output or a result that is undefined there.
// What is no msgpack is [core.ErrCorrupt], and what is no T [core.ErrInvalidArgument].
func Decode[T any](stored []byte) (T, error) {
	return decode[T]("decode", "the value", "decoded", stored)
}

// Body returns the body of the message that is worked on, see [Decode].
func Body[T any](a *Attempt) (T, error) {
	return decode[T]("body", "the body of "+a.id, "decoded; it has to be as Encode makes it, or JavaScript", a.Message().Body)
}

// Handle makes a handler of one whose result has type T, which is stored as
// [Encode] has it. A result that cannot be encoded fails the message.
func Handle[T any](handler func(ctx context.Context, a *Attempt) (T, error)) Handler {
	return func(ctx context.Context, a *Attempt) ([]byte, error) {
		result, err := handler(ctx, a)
		if err != nil {
			return nil, err
		}
		return Encode(result)
	}
}

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
		encoded, err := Encode(output)
		if err != nil {
			return nil, unstorable(errValue(core.ErrInvalidArgument, "step", "the output of "+name, "encoded", errors.Unwrap(err)))
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
	if err != nil {
		return value, err
	}
	if value, err = decode[T]("step", "the output of "+c.name, "decoded; see retry with from", stored); err != nil {
		c.steps.attempt.fail(err)
	}
	return value, err
}

func decode[T any](op, what, how string, stored []byte) (value T, err error) {
	if len(stored) == 0 {
		return value, nil
	}
	if err := check(stored); err != nil {
		return value, errValue(core.ErrCorrupt, op, what, how, err)
	}
	if err := msgpack.Unmarshal(stored, &value); err != nil {
		return value, errValue(core.ErrInvalidArgument, op, what, how, err)
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

func errValue(code core.Code, op, what, how string, err error) error {
	return &core.Error{Code: code, Op: op, Detail: what + " cannot be " + how, Err: err}
}
