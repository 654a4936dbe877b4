package main

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errLayout = errors.New("left as it is: its tables of functions are not laid out as Go 1.26 does it")

// The head of the tables (internal/abi/symtab.go, runtime.pcHeader): magic,
// padding, the least size of an instruction, the size of a pointer. Behind it
// are eight words.
var head = []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}

// tables are those of a program's functions, within its memory. Offsets are
// from the head.
type tables struct {
	bytes                                     []byte
	functions                                 int
	names, units, files, programs, byFunction int
}

// Offsets in runtime._func (runtime/runtime2.go), whose fixed part is followed
// by npcdata offsets of further programs.
const (
	nameOffset   = 4
	stackProgram = 16
	fileProgram  = 20
	lineProgram  = 24
	moreCount    = 28
	unitOffset   = 32
	startLine    = 36
	fixedPart    = 44
)

// forget makes names, files and lines of a program's functions zero.
func forget(memory []byte) error {
	t, err := find(memory)
	if err != nil {
		return err
	}
	// Programs are shared by functions, and between their purposes.
	keep, drop := map[uint32]bool{}, map[uint32]bool{}
	functions := make([][]byte, t.functions)
	for i := range functions {
		if functions[i], err = t.function(i); err != nil {
			return err
		}
		f := functions[i]
		keep[word(f, stackProgram)] = true
		for more := range word(f, moreCount) {
			keep[word(f, fixedPart+4*int(more))] = true
		}
		drop[word(f, fileProgram)], drop[word(f, lineProgram)] = true, true
	}
	kept := make([]bool, t.byFunction-t.programs)
	for offset := range keep {
		stop, err := t.programEnd(offset)
		if err != nil {
			return err
		}
		for i := int(offset); i < stop; i++ {
			kept[i] = true
		}
	}
	var ranges [][2]int
	for offset := range drop {
		stop, err := t.programEnd(offset)
		if err != nil {
			return err
		}
		ranges = append(ranges, [2]int{int(offset), stop})
	}

	// Everything is as expected: now it may be changed.
	for _, r := range ranges {
		for i := r[0]; i < r[1]; i++ {
			if !kept[i] {
				t.bytes[t.programs+i] = 0
			}
		}
	}
	for _, f := range functions {
		for _, field := range []int{nameOffset, fileProgram, lineProgram, unitOffset, startLine} {
			binary.LittleEndian.PutUint32(f[field:], 0)
		}
	}
	clear(t.bytes[t.names:t.programs])
	return nil
}

func find(memory []byte) (*tables, error) {
	at := bytes.Index(memory, head)
	if at < 0 || bytes.Contains(memory[at+1:], head) || len(memory)-at < len(head)+8*8 {
		return nil, errLayout
	}
	t := &tables{bytes: memory[at:]}
	words := make([]int, 8)
	for i := range words {
		n := binary.LittleEndian.Uint64(t.bytes[len(head)+8*i:])
		if n > uint64(len(t.bytes)) {
			return nil, errLayout
		}
		words[i] = int(n)
	}
	// nfunc, nfiles, an unused word, and where the five tables are.
	t.functions = words[0]
	t.names, t.units, t.files, t.programs, t.byFunction = words[3], words[4], words[5], words[6], words[7]
	ascending := len(head)+8*8 <= t.names && t.names < t.units && t.units <= t.files && t.files <= t.programs && t.programs < t.byFunction
	if !ascending || t.functions == 0 || t.byFunction+8*t.functions > len(t.bytes) {
		return nil, errLayout
	}
	return t, nil
}

// function returns the record of a function, by its place in the table of entry
// points and offsets.
func (t *tables) function(i int) ([]byte, error) {
	entry, offset := word(t.bytes, t.byFunction+8*i), word(t.bytes, t.byFunction+8*i+4)
	at := t.byFunction + int(offset)
	if at+fixedPart > len(t.bytes) {
		return nil, errLayout
	}
	f := t.bytes[at:]
	more := word(f, moreCount)
	named := int(word(f, nameOffset)) < t.units-t.names
	if word(f, 0) != entry || !named || more > 16 || fixedPart+4*int(more) > len(f) {
		return nil, errLayout
	}
	if i > 0 && entry <= word(t.bytes, t.byFunction+8*(i-1)) {
		return nil, errLayout
	}
	return f, nil
}

// programEnd returns where the program at an offset ends: it is pairs of varints,
// the first of which is zero at the end only (runtime/symtab.go, step). At offset
// 0 there is none.
func (t *tables) programEnd(offset uint32) (int, error) {
	if offset == 0 {
		return 1, nil
	}
	all := t.bytes[t.programs:t.byFunction]
	for at, first := int(offset), true; at < len(all); first = false {
		value, size := binary.Uvarint(all[at:])
		if size <= 0 {
			break
		}
		at += size
		if value == 0 && !first {
			return at, nil
		}
		_, size = binary.Uvarint(all[at:])
		if size <= 0 {
			break
		}
		at += size
	}
	return 0, errLayout
}

func word(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
