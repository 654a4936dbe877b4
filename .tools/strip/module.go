package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

var errModule = errors.New("this is not a WebAssembly module of the Go compiler")

// The section that initializes the memory, and what its segments begin with:
// active, in memory 0, at a constant address (WebAssembly 2.0, section 5.5.14).
const (
	dataSection = 11
	active      = 0x00
	constant    = 0x41
	end         = 0x0b
)

// module is a WebAssembly module with its initial memory in one piece.
type module struct {
	header   []byte
	sections []section
	memory   []byte
}

type section struct {
	id   byte
	body []byte
}

func parse(program []byte) (*module, error) {
	const headerSize = 8
	if !bytes.HasPrefix(program, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errModule
	}
	m := &module{header: program[:headerSize]}
	r := reader{program[headerSize:]}
	for len(r.rest) > 0 {
		id, body := r.byte(), r.bytes()
		if r.rest == nil {
			return nil, errModule
		}
		m.sections = append(m.sections, section{id, body})
		if id == dataSection && !m.load(body) {
			return nil, errModule
		}
	}
	return m, nil
}

// load puts the segments of a data section into the memory.
func (m *module) load(body []byte) bool {
	r := reader{body}
	for n := r.uint(); n > 0 && r.rest != nil; n-- {
		if r.byte() != active || r.byte() != constant {
			return false
		}
		address := r.int()
		if r.byte() != end || address < 0 || address > math.MaxInt32 {
			return false
		}
		data := r.bytes()
		if need := int(address) + len(data); need > len(m.memory) {
			m.memory = append(m.memory, make([]byte, need-len(m.memory))...)
		}
		copy(m.memory[address:], data)
	}
	return r.rest != nil
}

// encode writes the module again. Memory is zero where no segment is.
func (m *module) encode() []byte {
	out := bytes.Clone(m.header)
	for _, s := range m.sections {
		if s.id == dataSection {
			s.body = segments(m.memory)
		}
		out = append(out, s.id)
		out = binary.AppendUvarint(out, uint64(len(s.body)))
		out = append(out, s.body...)
	}
	return out
}

// segments cuts memory where more zeros follow each other than compress well. The
// compiler cuts at 8 already, which makes tens of thousands of segments; their
// heads hardly compress, and an instance starts with a walk through all of them.
func segments(memory []byte) []byte {
	const pays = 1024
	var body []byte
	n := uint64(0)
	for at := 0; at < len(memory); {
		if memory[at] == 0 {
			at++
			continue
		}
		stop, zeros := at, 0
		for i := at; i < len(memory) && zeros < pays; i++ {
			if memory[i] == 0 {
				zeros++
			} else {
				stop, zeros = i+1, 0
			}
		}
		body = append(body, active, constant)
		body = appendInt(body, int64(at))
		body = append(body, end)
		body = binary.AppendUvarint(body, uint64(stop-at))
		body = append(body, memory[at:stop]...)
		n++
		at = stop
	}
	return append(binary.AppendUvarint(nil, n), body...)
}

// appendInt appends a signed LEB128 number, which encoding/binary does not know.
func appendInt(out []byte, n int64) []byte {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(out, low)
		}
		out = append(out, low|0x80)
	}
}

// reader reads what a module is made of. Beyond the end rest is nil.
type reader struct{ rest []byte }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.rest = nil
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.rest = nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) int() int64 {
	var n int64
	for shift := 0; shift < 64 && r.rest != nil; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				n |= -1 << (shift + 7)
			}
			return n
		}
	}
	r.rest = nil
	return 0
}

// bytes reads bytes behind their number.
func (r *reader) bytes() []byte {
	n := r.uint()
	if r.rest == nil || n > uint64(len(r.rest)) {
		r.rest = nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}
