package runner_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
	"github.com/holdfast-dev/holdfast/core/runner"
	"github.com/holdfast-dev/holdfast/internal/hostile"
)

// undecodable are outputs of which no text can be decoded.
var undecodable = map[string]struct {
	stored []byte
	want   core.Code
}{
	"five bytes that claim 2^26 elements": {[]byte{0xdd, 0x04, 0, 0, 0}, core.ErrCorrupt},
	"a million levels":                    {bytes.Repeat([]byte{0x91}, 1<<20), core.ErrCorrupt},
	"two values":                          {[]byte{0xa1, 'x', 0xc0}, core.ErrCorrupt},
	"no msgpack":                          {[]byte{0xc1}, core.ErrCorrupt},
	"another type":                        {[]byte{0x93, 1, 2, 3}, core.ErrInvalidArgument},
}

// TestOutputThatCannotBeDecoded ends the attempt, whatever the handler makes of
// the error, and fails the message. Who knows better goes back to before it.
func TestOutputThatCannotBeDecoded(t *testing.T) {
	for name, tt := range undecodable {
		for _, wait := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				story(t, func(t *testing.T, memory *memstore.Store) {
					b := open(t, memory)
					b.send("m")
					var got, cause error
					b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
						var value string
						if wait {
							value, got = runner.Wait[string](ctx, a, "ask", runner.WaitOptions{})
						} else {
							value, got = runner.Step(ctx, a, "ask", func(ctx context.Context, c runner.Call) (string, error) {
								_, err := never(ctx, c)
								return "", err
							}, runner.StepOptions{SideEffect: runner.Rerun})
						}
						cause = context.Cause(ctx)
						return []byte(value), nil // it swallows the error
					}, runner.Options{})
					rest(time.Second)
					answer := func(output []byte) {
						if err := b.Update(t.Context(), func(*core.State) ([]core.Event, error) {
							return []core.Event{{Kind: core.KindStepCompleted, MessageID: "m", Name: "ask", Output: output}}, nil
						}); err != nil {
							t.Fatal(err)
						}
						rest(time.Minute)
					}
					answer(tt.stored)
					if !errors.Is(got, tt.want) || !errors.Is(cause, tt.want) {
						t.Errorf("the handler got %v, its context has ended with %v", got, cause)
					}
					if m := b.message("m"); !m.Failed || m.Error != got.Error() || !strings.Contains(m.Error, "see retry with from") {
						t.Errorf("the message is %+v", m)
					}
					expect(t, "OnError", b.said, []string{string(tt.want)})
					if did, err := b.RetryFrom(t.Context(), "m", 0); !did || err != nil {
						t.Fatal(did, err)
					}
					rest(time.Second)
					b.stop()
					if m := b.message("m"); len(m.Open) != 1 || m.Failed {
						t.Errorf("after the retry the message is %+v", m)
					}
				})
			})
		}
	}
}

// TestDeepOutput: what could not be decoded is not stored.
func TestDeepOutput(t *testing.T) {
	nested := func(levels int) (value any) {
		for range levels {
			value = []any{value}
		}
		return value
	}
	for _, levels := range []int{33, 34} {
		story(t, func(t *testing.T, memory *memstore.Store) {
			b := open(t, memory)
			b.send("m")
			b.run(func(ctx context.Context, a *runner.Attempt) ([]byte, error) {
				got, err := runner.Step(ctx, a, "s", func(context.Context, runner.Call) (any, error) { return nested(levels), nil }, runner.StepOptions{})
				if err == nil && !reflect.DeepEqual(got, nested(levels)) {
					err = errors.New("it is another one")
				}
				return nil, err
			}, runner.Options{})
			rest(time.Minute)
			b.stop()
			if m := b.message("m"); m.Failed != (levels == 34) || m.Failed && !strings.Contains(m.Error, "the output of s cannot be encoded: it is nested too deep") {
				t.Errorf("%d levels: the message is %+v", levels, m)
			}
		})
	}
}

// asked is a body as JavaScript sends it: {text: "hi", count: 3, at: new Date(1700000000999),
// bytes: new Uint8Array([1, 2]), list: [1.5, null, true], big: 2 ** 40}.
const asked = "86a474657874a26869a5636f756e7403a26174d7ffee2e1f006553f100a56279746573c4020102a46c69737493cb3ff8000000000000c0c3a3626967cf0000010000000000"

type question struct {
	Text  string    `msgpack:"text"`
	Count int       `msgpack:"count"`
	At    time.Time `msgpack:"at"`
	Bytes []byte    `msgpack:"bytes"`
	List  []any     `msgpack:"list"`
	Big   int64     `msgpack:"big"`
}

// TestBodyAndResult: of what type they are is the handler's business, and who is
// wrong about it gets an error that says so.
func TestBodyAndResult(t *testing.T) {
	body, err := hex.DecodeString(asked)
	if err != nil {
		t.Fatal(err)
	}
	story(t, func(t *testing.T, memory *memstore.Store) {
		b := open(t, memory)
		for id, body := range map[string][]byte{"asked": body, "none": nil, "broken": {0xc1}, "unstorable": nil} {
			if _, err := b.Send(t.Context(), id, 1, body); err != nil {
				t.Fatal(err)
			}
		}
		errs := map[string]error{}
		b.run(runner.Handle(func(ctx context.Context, a *runner.Attempt) (any, error) {
			id := a.Message().ID
			if _, err := runner.Body[int](a); err != nil {
				errs[id+" as a number"] = err
			}
			if id == "unstorable" {
				return make(chan int), nil
			}
			return runner.Body[question](a)
		}), runner.Options{})
		rest(time.Minute)
		b.stop()
		want := question{"hi", 3, time.UnixMilli(1700000000999), []byte{1, 2}, []any{1.5, nil, true}, 1 << 40}
		got, err := runner.Decode[question](b.message("asked").Result)
		if !got.At.Equal(want.At) {
			t.Errorf("the time is %v", got.At)
		}
		got.At = want.At
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("asked: %+v, %v", got, err)
		}
		if got, err := runner.Decode[question](b.message("none").Result); err != nil || !reflect.DeepEqual(got, question{}) {
			t.Errorf("none: %+v, %v", got, err)
		}
		for id, text := range map[string]string{
			"broken":     "body: corrupt: the body of broken cannot be decoded",
			"unstorable": "encode: invalid_argument: the value cannot be stored",
		} {
			if m := b.message(id); !m.Failed || !strings.Contains(m.Error, text) {
				t.Errorf("%s: %q", id, m.Error)
			}
		}
		if len(errs) != 2 || !errors.Is(errs["asked as a number"], core.ErrInvalidArgument) || !errors.Is(errs["broken as a number"], core.ErrCorrupt) {
			t.Errorf("as a number: %v", errs)
		}
	})
}

// FuzzDecodeOutput gives the decoder of outputs bytes from anywhere, as types of
// all kinds. It must not panic, must leave the input as it is, and give one of two
// errors. A value of Go takes more memory than its bytes, a map with no elements
// the most, but no more than in proportion.
func FuzzDecodeOutput(f *testing.F) {
	for _, tt := range undecodable {
		f.Add(tt.stored[:min(len(tt.stored), 64)])
	}
	for _, value := range []any{
		nil, true, -1, 1 << 40, 1.5, "text", []byte("bytes"), time.Unix(1, 2), []string{"a", "b"}, []any{nil, map[string]any{"a": []any{}}},
		map[string]output{"x": {Name: "n", Times: []time.Time{time.Unix(1<<40, 0)}, Inner: &output{}}},
	} {
		f.Add(runner.Encoded(f, value))
	}
	hostile.Fuzz(f, func(t testing.TB, b []byte) {
		input := slices.Clone(b)
		decodeAs[any](t, b)
		decodeAs[string](t, b)
		decodeAs[[]byte](t, b)
		decodeAs[[]string](t, b)
		decodeAs[[]any](t, b)
		decodeAs[map[string]any](t, b)
		decodeAs[map[string]output](t, b)
		decodeAs[output](t, b)
		decodeAs[float64](t, b)
		decodeAs[time.Time](t, b)
		if !bytes.Equal(b, input) {
			t.Error("the input was changed")
		}
	})
}

type output struct {
	Name  string
	Count int
	Bytes []byte
	Times []time.Time
	Any   any
	Inner *output
	More  []output
}

func decodeAs[T any](t testing.TB, b []byte) {
	t.Helper()
	var err error
	hostile.BoundMemoryBy(t, 256, b, func() { _, err = runner.Decode[T](b) })
	if err != nil && !errors.Is(err, core.ErrCorrupt) && !errors.Is(err, core.ErrInvalidArgument) {
		t.Errorf("untyped: %v", err)
	}
}
