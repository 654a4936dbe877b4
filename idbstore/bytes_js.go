package idbstore

import (
	"encoding/binary"
	"fmt"

	"github.com/hack-pad/safejs"
)

// binaryValues turns bytes into Uint8Arrays and back.
type binaryValues struct {
	array safejs.Value // the constructor
	// pack is holdfastPack, see web/src/bridge/pack.ts. It is undefined where
	// the page does not offer it.
	pack safejs.Value
}

func (b binaryValues) toJS(data []byte) (safejs.Value, error) {
	array, err := b.array.New(len(data))
	if err == nil {
		_, err = safejs.CopyBytesToJS(array, data)
	}
	return array, failureOf(err)
}

// maxValue is more than Chromium stores in one value.
const maxValue = 133 << 20

// value reads a Uint8Array. Anything else comes from damage or from another
// program, and is read as no bytes: nothing that Holdfast stores is empty.
func (b binaryValues) value(v safejs.Value) ([]byte, error) {
	if v.Type() != safejs.TypeObject {
		return []byte{}, nil
	}
	n, err := v.Length()
	if err != nil || n < 0 || n > maxValue {
		return []byte{}, nil
	}
	data := make([]byte, n)
	if _, err := safejs.CopyBytesToGo(data, v); err != nil {
		return []byte{}, nil
	}
	return data, nil
}

// optionalValue reads a Uint8Array or undefined.
func (b binaryValues) optionalValue(v safejs.Value) ([]byte, error) {
	if v.IsUndefined() {
		return nil, nil
	}
	return b.value(v)
}

// key reads a binary key, which the browser returns as an ArrayBuffer. Only
// other programs write keys of another type.
func (b binaryValues) key(v safejs.Value) ([]byte, error) {
	if v.Type() != safejs.TypeObject {
		return nil, &engineError{unexpectedFailure, fmt.Sprintf("a key is a %v", v.Type())}
	}
	array, err := b.array.New(v)
	if err != nil {
		return nil, failureOf(err)
	}
	return b.value(array)
}

// cursorKey reads the key of a cursor, or null for none.
func (b binaryValues) cursorKey(cursor safejs.Value) ([]byte, error) {
	if cursor.IsNull() {
		return nil, nil
	}
	key, err := cursor.Get("key")
	if err != nil {
		return nil, failureOf(err)
	}
	return b.key(key)
}

func (b binaryValues) listOfKeys(v safejs.Value) ([][]byte, error) { return b.list(v, b.key) }

func (b binaryValues) listOfValues(v safejs.Value) ([][]byte, error) { return b.list(v, b.value) }

// fewItems are read faster one by one.
const fewItems = 2

func (b binaryValues) list(v safejs.Value, read func(safejs.Value) ([]byte, error)) ([][]byte, error) {
	n, err := v.Length()
	if err != nil {
		return nil, failureOf(err)
	}
	if n > fewItems && !b.pack.IsUndefined() {
		packed, err := b.pack.Invoke(v)
		if err != nil {
			return nil, failureOf(err)
		}
		if !packed.IsUndefined() {
			return b.unpack(packed, n)
		}
	}
	items := make([][]byte, n)
	for i := range items {
		item, err := v.Index(i)
		if err != nil {
			return nil, failureOf(err)
		}
		if items[i], err = read(item); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// unpack reads n byte strings, each of which follows its length. They share
// memory.
func (b binaryValues) unpack(packed safejs.Value, n int) ([][]byte, error) {
	rest, err := b.value(packed)
	if err != nil {
		return nil, err
	}
	items := make([][]byte, n)
	for i := range items {
		if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.LittleEndian.Uint32(rest)) {
			return nil, &engineError{unexpectedFailure, "holdfastPack has returned too little"}
		}
		end := 4 + int(binary.LittleEndian.Uint32(rest))
		items[i], rest = rest[4:end:end], rest[end:]
	}
	return items, nil
}

// Properties of a value of directory, beside those of its indexes.
const summaryProperty = "summary"

// object makes a value of directory.
func (b binaryValues) object(l *listed) (safejs.Value, error) {
	properties := map[string]any{}
	for name, data := range map[string][]byte{recentIndex: l.recent, dueIndex: l.due, summaryProperty: l.summary} {
		if data == nil {
			continue
		}
		array, err := b.toJS(data)
		if err != nil {
			return safejs.Value{}, err
		}
		properties[name] = safejs.Unsafe(array)
	}
	object, err := safejs.ValueOf(properties)
	return object, failureOf(err)
}

// listed reads values of directory. Of one that Holdfast did not write, what is
// missing is empty.
func (b binaryValues) listed(v safejs.Value) ([]listed, error) {
	n, err := v.Length()
	if err != nil {
		return nil, failureOf(err)
	}
	list := make([]listed, n)
	if n > fewItems && !b.pack.IsUndefined() {
		packed, err := b.pack.Invoke(v, recentIndex, dueIndex, summaryProperty)
		if err != nil {
			return nil, failureOf(err)
		}
		if !packed.IsUndefined() {
			parts, err := b.unpack(packed, 3*n)
			if err != nil {
				return nil, err
			}
			for i := range list {
				list[i] = listed{recent: parts[3*i], due: parts[3*i+1], summary: parts[3*i+2]}
			}
			return list, nil
		}
	}
	for i := range list {
		item, err := v.Index(i)
		if err != nil {
			return nil, failureOf(err)
		}
		for name, to := range map[string]*[]byte{recentIndex: &list[i].recent, dueIndex: &list[i].due, summaryProperty: &list[i].summary} {
			data, err := item.Get(name)
			if err != nil {
				continue // it is no object
			}
			if *to, err = b.value(data); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}
