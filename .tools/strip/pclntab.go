package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
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
// by the offsets of further programs, and then by those of further data.
const (
	nameOffset   = 4
	stackProgram = 16
	fileProgram  = 20
	lineProgram  = 24
	moreCount    = 28
	unitOffset   = 32
	startLine    = 36
	dataCount    = 43
	fixedPart    = 44
)

// Further programs and data of a function that only stack traces need, and
// preemption by a signal, which there is none of (internal/abi/symtab.go:
// UnsafePoint, InlTreeIndex, ArgLiveIndex; InlTree, ArgInfo, ArgLiveInfo);
// checkToolchain looks whether these are still their numbers.
var (
	tracePrograms = map[int]bool{0: true, 2: true, 3: true}
	traceData     = map[int]bool{3: true, 5: true, 6: true}
)

const (
	noProgram = 0
	noData    = 0xffffffff
)

// forget makes names, files, lines and inlined calls of a program's functions zero.
func forget(memory []byte) error {
	t, err := find(memory)
	if err != nil {
		return err
	}
	data, err := findData(memory, t)
	if err != nil {
		return err
	}
	// Programs and data are shared by functions, and programs between their purposes.
	programs, objects := use{}, use{}
	functions := make([][]byte, t.functions)
	for i := range functions {
		if functions[i], err = t.function(i); err != nil {
			return err
		}
		f := functions[i]
		programs.keep(word(f, stackProgram))
		programs.drop(word(f, fileProgram))
		programs.drop(word(f, lineProgram))
		for kind := range int(word(f, moreCount)) {
			programs.add(word(f, programOf(kind)), !tracePrograms[kind])
		}
		for kind := range int(f[dataCount]) {
			objects.add(word(f, dataOf(f, kind)), !traceData[kind])
		}
	}
	kept := make([]bool, t.byFunction-t.programs)
	var ranges [][2]int
	for offset, keep := range programs {
		stop, err := t.programEnd(offset)
		if err != nil {
			return err
		}
		if !keep {
			ranges = append(ranges, [2]int{int(offset), stop})
			continue
		}
		for i := int(offset); i < stop; i++ {
			kept[i] = true
		}
	}

	// Everything is as expected: now it may be changed.
	for _, r := range ranges {
		for i := r[0]; i < r[1]; i++ {
			if !kept[i] {
				t.bytes[t.programs+i] = 0
			}
		}
	}
	// An object ends where the next one begins at the latest. The last one stays.
	delete(objects, noData)
	offsets := slices.Sorted(maps.Keys(objects))
	for i, offset := range offsets[:max(0, len(offsets)-1)] {
		if !objects[offset] && int(offsets[i+1]) <= len(data) {
			clear(data[offset:offsets[i+1]])
		}
	}
	for _, f := range functions {
		for _, field := range []int{nameOffset, fileProgram, lineProgram, unitOffset, startLine} {
			binary.LittleEndian.PutUint32(f[field:], 0)
		}
		for kind := range int(word(f, moreCount)) {
			if tracePrograms[kind] {
				binary.LittleEndian.PutUint32(f[programOf(kind):], noProgram)
			}
		}
		for kind := range int(f[dataCount]) {
			if traceData[kind] {
				binary.LittleEndian.PutUint32(f[dataOf(f, kind):], noData)
			}
		}
	}
	clear(t.bytes[t.names:t.programs])
	return nil
}

// use tells of programs or objects, by their offsets, which are to be kept.
type use map[uint32]bool

func (u use) keep(offset uint32)           { u[offset] = true }
func (u use) drop(offset uint32)           { u.add(offset, false) }
func (u use) add(offset uint32, keep bool) { u[offset] = u[offset] || keep }

// programOf and dataOf are where a function's record has the offset of one of
// its further programs and data.
func programOf(kind int) int        { return fixedPart + 4*kind }
func dataOf(f []byte, kind int) int { return programOf(int(word(f, moreCount)) + kind) }

// In runtime.moduledata (runtime/symtab.go), which begins with the addresses of
// the head and of the names: where the addresses of the functions' data and of
// the end of all tables are.
const (
	dataAddress = 8 * 40
	endAddress  = 8 * 41
)

// findData returns the memory from the functions' further data on.
func findData(memory []byte, t *tables) ([]byte, error) {
	module := findModule(memory, t)
	if module < 0 || module+endAddress+8 > len(memory) {
		return nil, errLayout
	}
	data, end := binary.LittleEndian.Uint64(memory[module+dataAddress:]), binary.LittleEndian.Uint64(memory[module+endAddress:])
	if data < uint64(len(memory)-len(t.bytes)) || data > end || end > uint64(len(memory)) {
		return nil, errLayout
	}
	return memory[data:end], nil
}

// findModule returns where runtime.moduledata is; less than 0 if it is nowhere.
func findModule(memory []byte, t *tables) int {
	at := uint64(len(memory) - len(t.bytes))
	begin := binary.LittleEndian.AppendUint64(nil, at)
	return bytes.Index(memory, binary.LittleEndian.AppendUint64(begin, at+uint64(t.names)))
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
	if word(f, 0) != entry || !named || more > 16 || dataOf(f, int(f[dataCount])) > len(f) {
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
