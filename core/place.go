package core

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Place says who a step is: where it is called, and which of the calls there it
// is. A replay that calls the same step again finds what is stored of it by its
// [Place.Path], whatever other steps have done. The zero value is none: that of
// a step which was recorded by its index alone.
type Place struct {
	// Scope is the path of the scope, or of the function of a step, within which
	// the step is called; empty for the handler itself. See [ScopePath] and
	// [FunctionPath].
	Scope string
	// Key is the hash of the key that the call was given; zero if it had none.
	Key Key
	// Count is how many calls of the same name, or of the same name and key, came
	// before within the scope.
	Count uint32
	// After is one more than the order of the outcome, see [Details], that was
	// delivered last before the call, within the same function; 0 if there was
	// none.
	After uint32
	// Unordered says that the call came out of a wait for something that is no
	// step, while other steps of the same function were under way. It may have come
	// from within one of these, which a replay does not run again: so asked for
	// after a later outcome, it is taken for another call.
	Unordered bool
	// Called is when the step was called, in milliseconds since the Unix epoch,
	// from 1 to [MaxSequence].
	Called uint64
}

// Key is the hash of a key, see [Place].
type Key [16]byte

// MaxScopeBytes is the greatest length of [Place.Scope].
const MaxScopeBytes = 8 << 10

// placed reports whether it is a place at all.
func (p *Place) placed() bool { return p.Called > 0 }

// Path returns what tells the step called name from all others of its message.
func (p *Place) Path(name string) string {
	var b strings.Builder
	b.WriteString(p.Scope)
	b.WriteString(escape.Replace(name))
	if p.Key != (Key{}) {
		b.WriteString("=" + hex.EncodeToString(p.Key[:]))
	}
	if p.counted() {
		b.WriteString("#" + strconv.FormatUint(uint64(p.Count), 10))
	}
	return b.String()
}

// counted reports whether the number of the call tells the step from others.
func (p *Place) counted() bool { return p.Key == (Key{}) || p.Count > 0 }

// escape keeps parts of a path apart.
var escape = strings.NewReplacer("%", "%25", "/", "%2F", ":", "%3A", "=", "%3D", "#", "%23")

// ScopePath returns the path of the scope called name within another scope.
func ScopePath(scope, name string) string { return scope + escape.Replace(name) + ":/" }

// FunctionPath returns the scope of the steps within the function of the step
// with a path.
func FunctionPath(path string) string { return path + "/" }

// functionOf returns the path of the function that a scope belongs to: the scope
// without the scopes at its end.
func functionOf(scope string) string {
	for strings.HasSuffix(scope, ":/") {
		scope = scope[:strings.LastIndexByte(scope[:len(scope)-1], '/')+1]
	}
	return scope
}

func checkPlace(op string, p *Place) error {
	switch {
	case len(p.Scope) > MaxScopeBytes:
		return &Error{Code: ErrInvalidArgument, Op: op,
			Detail: fmt.Sprintf("the path of the step's scope has %d bytes, the limit is %d; nest fewer scopes, or give them shorter names", len(p.Scope), MaxScopeBytes)}
	case strings.IndexByte(p.Scope, 0) >= 0 || !utf8.ValidString(p.Scope):
		return &Error{Code: ErrInvalidArgument, Op: op, Detail: "the path of a scope must be valid UTF-8 without NUL"}
	case p.Called > MaxSequence:
		return &Error{Code: ErrOutOfRange, Op: op, Detail: fmt.Sprintf("a step cannot be called at %d ms, the limit is 2^53-1", p.Called)}
	}
	return nil
}

// Failure is what a step failed with: the error itself, then the errors that
// caused it, from the nearest on.
type Failure []Cause

// Cause is one error of a [Failure].
type Cause struct{ Name, Message string }

// MaxCauses is the greatest length of a [Failure].
const MaxCauses = 16

// Error returns the text of the whole failure, for people.
func (f Failure) Error() string {
	var b strings.Builder
	for i, c := range f {
		if i > 0 {
			b.WriteString("; caused by ")
		}
		b.WriteString(c.String())
	}
	return b.String()
}

// String returns name and message, in the form of JavaScript.
func (c Cause) String() string {
	switch {
	case c.Name == "":
		return c.Message
	case c.Message == "":
		return c.Name
	default:
		return c.Name + ": " + c.Message
	}
}

func (f Failure) size() int {
	size := 0
	for _, c := range f {
		size += 10 + len(c.Name) + len(c.Message)
	}
	return size
}

func checkFailure(op string, f Failure) error {
	if len(f) == 0 || len(f) > MaxCauses {
		return &Error{Code: ErrInvalidArgument, Op: op, Detail: fmt.Sprintf("a failure has %d errors; it may have 1 to %d", len(f), MaxCauses)}
	}
	for _, c := range f {
		if !utf8.ValidString(c.Name) || !utf8.ValidString(c.Message) {
			return &Error{Code: ErrInvalidArgument, Op: op, Detail: "the texts of a failure must be valid UTF-8"}
		}
	}
	return nil
}
