package wire

import (
	"encoding/binary"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// MaxDepth is how deep the arrays and maps of a value may contain each other:
// what a step streams is an array around values of 32 levels.
const MaxDepth = 33

// Value checks that b is one msgpack value, in whatever form, and returns what
// is wrong, empty if nothing is: no length claims more than follows, it is not
// nested deeper than [MaxDepth], and nothing comes after it. So no decoder of it
// allocates what a length claims, or goes to any depth. What is in it is not
// looked at. web/src/values.ts does the same.
func Value(b []byte) (defect string) {
	open := make([]uint64, 0, MaxDepth+1) // how many elements are still to come in each array and map around
	due := uint64(1)                      // in all
	for due > 0 {
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		size, elements := element(b)
		if size == 0 || size > uint64(len(b)) {
			return "it is cut short, or no msgpack"
		}
		b = b[size:]
		due--
		if elements > uint64(len(b)) || due+elements > uint64(len(b)) {
			return "it claims more elements than it has"
		}
		due += elements
		if elements > 0 {
			open = append(open, elements)
		}
		if len(open) > MaxDepth {
			return "it is nested too deep"
		}
	}
	if len(b) > 0 {
		return "something comes after it"
	}
	return ""
}

// Of each type from hex c0 to df: how many bytes its length has, and how many
// more it has.
const lengthBytes = "00001241240000000000000001242424"

var fixedBytes = [...]byte{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0}

// element returns how many bytes b begins with that are one element, without
// what is in it, and how many elements are in it; no bytes if there is none.
func element(b []byte) (size, elements uint64) {
	const never = 0xc1 // is no type
	if len(b) == 0 || b[0] == never {
		return 0, 0
	}
	switch code := b[0]; {
	case msgpcode.IsFixedNum(code):
		return 1, 0
	case msgpcode.IsFixedMap(code):
		return 1, 2 * uint64(code&msgpcode.FixedMapMask)
	case msgpcode.IsFixedArray(code):
		return 1, uint64(code & msgpcode.FixedArrayMask)
	case msgpcode.IsFixedString(code):
		return 1 + uint64(code&msgpcode.FixedStrMask), 0
	default:
		at := code - msgpcode.Nil
		head := 1 + int(lengthBytes[at]-'0')
		if len(b) < head {
			return 0, 0
		}
		var field [8]byte
		copy(field[8-(head-1):], b[1:head])
		length := binary.BigEndian.Uint64(field[:])
		switch size = uint64(head) + uint64(fixedBytes[at]); {
		case code == msgpcode.Map16, code == msgpcode.Map32:
			return size, 2 * length
		case code == msgpcode.Array16, code == msgpcode.Array32:
			return size, length
		default:
			return size + length, 0
		}
	}
}
