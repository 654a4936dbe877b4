// Package hostile gives decoders of stored bytes inputs that nobody wrote, and
// bounds what decoding one may cost. Only tests use it.
package hostile

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

var (
	mutations = flag.Int("mutations", 0, "how many mutations of the corpus each fuzz target is given when it runs as a test")
	seed      = flag.Uint64("mutations.seed", 1, "the seed of the mutations")
)

const (
	slowest = 2 * time.Second
	longest = 4 << 10
)

// Fuzz is f.Fuzz. Run as a test it gives decode, behind the corpus, as many
// mutations of it as the flag -mutations says. They are not guided by coverage,
// and so come some fifty times as fast. An input must not take more than 2 s.
// decode may be given the same memory again.
func Fuzz(f *testing.F, decode func(t testing.TB, input []byte)) {
	f.Helper()
	var corpus [][]byte
	f.Fuzz(func(t *testing.T, input []byte) {
		corpus = append(corpus, bytes.Clone(input))
		decode(t, input)
	})
	if *mutations == 0 || f.Failed() {
		return
	}
	var input []byte
	defer func() {
		failure := recover()
		if failure != nil {
			f.Errorf("panic: %v\n%s", failure, debug.Stack())
		}
		if f.Failed() {
			f.Logf("-mutations.seed=%d; a file of testdata/fuzz/%s makes a test of it:\ngo test fuzz v1\n[]byte(%q)", *seed, f.Name(), input)
			return
		}
		f.Logf("result: %s: %d mutations of %d inputs, seed %d", f.Name(), *mutations, len(corpus), *seed)
	}()
	m := mutator{rand.New(rand.NewPCG(*seed, 0)), corpus}
	for range *mutations {
		input = m.mutate(input[:0])
		kept := input
		since := time.Now()
		decode(f, input)
		if took := time.Since(since); took > slowest {
			f.Errorf("decoding took %v", took)
		}
		if input = kept; f.Failed() {
			return
		}
	}
}

type mutator struct {
	*rand.Rand
	corpus [][]byte
}

// mutate appends to b one of the corpus with one to eight changes.
func (m mutator) mutate(b []byte) []byte {
	b = append(b, m.one()...)
	for range 1 + m.IntN(1<<m.IntN(4)) {
		b = m.change(b)
	}
	return b[:min(len(b), longest)]
}

func (m mutator) one() []byte { return m.corpus[m.IntN(len(m.corpus))] }

// change makes one change at a random place. What it inserts are few bytes,
// random ones or a piece of the corpus.
func (m mutator) change(b []byte) []byte {
	at := m.IntN(len(b) + 1)
	rest := b[at:]
	switch kind := m.IntN(8); {
	case kind == 0:
		return slices.Insert(b, at, m.bytes()...)
	case kind == 1:
		other := m.one()
		from := m.IntN(len(other) + 1)
		return slices.Insert(b, at, other[from:from+m.IntN(min(len(other)-from, 64)+1)]...)
	case kind == 2:
		return append(b[:at], m.one()...)
	case len(rest) == 0:
		return append(b, byte(m.Uint32()))
	case kind == 3:
		return slices.Delete(b, at, at+1+m.IntN(min(len(rest), 16)))
	case kind == 4:
		rest[0] ^= 1 << m.IntN(8)
	case kind == 5:
		rest[0] += byte(m.IntN(9)) - 4
	case kind == 6:
		copy(rest, m.bytes())
	default:
		return slices.Insert(b, at, slices.Clone(rest[:1+m.IntN(min(len(rest), 64))])...)
	}
	return b
}

// bytes are one to eight: random ones, or a number that is near an end of its
// type, in either form that stored numbers have.
func (m mutator) bytes() []byte {
	switch n := m.Uint64(); m.IntN(4) {
	case 0:
		return binary.BigEndian.AppendUint64(nil, n)[:1+m.IntN(8)]
	case 1:
		return []byte{byte(n)}
	case 2:
		return binary.AppendUvarint(nil, 1<<m.IntN(64)+n%3-1)
	default:
		return binary.BigEndian.AppendUint64(nil, 1<<m.IntN(64)+n%3-1)[m.IntN(8):]
	}
}
