package wire_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/holdfast-dev/holdfast/internal/wire"
)

// elements has one of each form that an element takes.
var elements = []struct {
	name  string
	write func(*wire.Writer)
	want  string // the beginning, in hex
}{
	{"no elements", func(w *wire.Writer) { w.Array(0) }, "90"},
	{"15 elements", func(w *wire.Writer) { w.Array(15) }, "9f"},
	{"16 elements", func(w *wire.Writer) { w.Array(16) }, "dc0010"},
	{"65536 elements", func(w *wire.Writer) { w.Array(1 << 16) }, "dd00010000"},
	{"0", func(w *wire.Writer) { w.Uint(0) }, "00"},
	{"127", func(w *wire.Writer) { w.Uint(127) }, "7f"},
	{"128", func(w *wire.Writer) { w.Uint(128) }, "cc80"},
	{"256", func(w *wire.Writer) { w.Uint(256) }, "cd0100"},
	{"2^16", func(w *wire.Writer) { w.Uint(1 << 16) }, "ce00010000"},
	{"2^32", func(w *wire.Writer) { w.Uint(1 << 32) }, "cf0000000100000000"},
	{"2^64-1", func(w *wire.Writer) { w.Uint(math.MaxUint64) }, "cfffffffffffffffff"},
	{"an integer that is not negative", func(w *wire.Writer) { w.Int(300) }, "cd012c"},
	{"-1", func(w *wire.Writer) { w.Int(-1) }, "ff"},
	{"-2^63", func(w *wire.Writer) { w.Int(math.MinInt64) }, "d38000000000000000"},
	{"no text", func(w *wire.Writer) { w.Text("") }, "a0"},
	{"31 bytes of text", func(w *wire.Writer) { w.Text(strings.Repeat("x", 31)) }, "bf78"},
	{"32 bytes of text", func(w *wire.Writer) { w.Text(strings.Repeat("x", 32)) }, "d92078"},
	{"256 bytes of text", func(w *wire.Writer) { w.Text(strings.Repeat("x", 256)) }, "da010078"},
	{"no bytes", func(w *wire.Writer) { w.Bytes(nil) }, "c400"},
	{"255 bytes", func(w *wire.Writer) { w.Bytes(make([]byte, 255)) }, "c4ff00"},
	{"256 bytes", func(w *wire.Writer) { w.Bytes(make([]byte, 256)) }, "c5010000"},
	{"65536 bytes", func(w *wire.Writer) { w.Bytes(make([]byte, 1<<16)) }, "c60001000000"},
	{"nil", func(w *wire.Writer) { w.Nil() }, "c0"},
}

func TestElements(t *testing.T) {
	for _, tt := range elements {
		w := wire.NewWriter([]byte("before"))
		tt.write(w)
		got := w.End()
		want := append([]byte("before"), unhex(t, tt.want)...)
		if !bytes.HasPrefix(got, want) {
			t.Errorf("%s: %x, want %x", tt.name, got[:min(len(got), 20)], want)
		}
	}
}

// TestElementsAreMsgpack: any decoder reads what a Writer writes.
func TestElementsAreMsgpack(t *testing.T) {
	for _, tt := range elements[4:] { // an array wants its elements, too
		w := wire.NewWriter(nil)
		tt.write(w)
		if _, err := msgpack.NewDecoder(bytes.NewReader(w.End())).DecodeInterface(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBytesAreAPartOfTheOutput(t *testing.T) {
	w := wire.NewWriter(make([]byte, 0, 64))
	part := w.Bytes([]byte("abc"))
	w.Text("d")
	out := w.End()
	if &part[0] != &out[2] || string(part) != "abc" || cap(part) != 3 {
		t.Errorf("%q, with room for %d, is not what stands in %q", part, cap(part), out)
	}
}

// reading is one call of a Reader.
type reading = func(*wire.Reader) any

var (
	array = func(r *wire.Reader) any { return r.ArrayLen("it") }
	small = func(r *wire.Reader) any { return r.Uint("it", 255) }
	uint_ = func(r *wire.Reader) any { return r.Uint("it", math.MaxUint64) }
	bin   = func(r *wire.Reader) any { return string(r.Bytes("it")) }
	text  = func(r *wire.Reader) any { return string(r.Text("it")) }
	id    = func(r *wire.Reader) any { var b [4]byte; r.ID("it", b[:]); return string(b[:]) }
)

func TestReader(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		read     reading
		want     any
		left     int
	}{
		{"an array", "9200c0", array, 2, 2},
		{"an array of 16", "dc0010" + strings.Repeat("00", 16), array, 16, 16},
		{"a small number", "7f", uint_, uint64(127), 0},
		{"a number of a byte", "ccff", small, uint64(255), 0},
		{"the greatest number", "cfffffffffffffffff", uint_, uint64(math.MaxUint64), 0},
		{"bytes", "c403616263", bin, "abc", 0},
		{"256 bytes", "c50100" + strings.Repeat("61", 256), bin, strings.Repeat("a", 256), 0},
		{"text", "a3c3a461", text, "äa", 0},
		{"32 bytes of text", "d920" + strings.Repeat("61", 32), text, strings.Repeat("a", 32), 0},
		{"an id", "c40461626364", id, "abcd", 0},
	} {
		var r wire.Reader
		r.Reset(append(unhex(t, tt.in), 0xc0))
		if got := tt.read(&r); got != tt.want || r.Defect() != "" || len(r.Rest()) != tt.left+1 {
			t.Errorf("%s: %v, want %v; defect %q, %x left", tt.name, got, tt.want, r.Defect(), r.Rest())
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		read     reading
		want     string
	}{
		{"nothing for an array", "", array, "it is not an array"},
		{"a map for an array", "80", array, "it is not an array"},
		{"more elements than bytes", "9300", array, "it has a wrong number of elements"},
		{"2^32-1 elements", "ddffffffff", array, "it has a wrong number of elements"},
		{"a long head of a short array", "dc0001c0", array, "it has a wrong number of elements"},
		{"a head of an array that is cut", "dc00", array, "it has a wrong number of elements"},
		{"nothing for a number", "", uint_, "it is not an unsigned integer"},
		{"a negative number", "ff", uint_, "it is not an unsigned integer"},
		{"a number that is cut", "cd01", uint_, "it is cut short"},
		{"a number in a longer form", "cc7f", uint_, "it is not in its shortest form"},
		{"a number over the limit", "cd0100", small, "it is out of range"},
		{"text for bytes", "a161", bin, "it is of another type"},
		{"bytes for text", "c40161", text, "it is of another type"},
		{"2^32-1 bytes", "c6ffffffff", bin, "it is cut short"},
		{"bytes that are cut", "c402aa", bin, "it is cut short"},
		{"a length that is cut", "c4", bin, "it is cut short"},
		{"bytes with a longer length", "c50001aa", bin, "it has a length that is not in its shortest form"},
		{"text with a longer length", "d90161", text, "it has a length that is not in its shortest form"},
		{"text that is not UTF-8", "a1ff", text, "it is not valid UTF-8"},
		{"a short id", "c403616263", id, "it has a wrong length"},
	} {
		var r wire.Reader
		r.Reset(unhex(t, tt.in))
		tt.read(&r)
		if r.Defect() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, r.Defect(), tt.want)
		}
		r.Reset(unhex(t, "07"))
		if n := r.Uint("it", 255); n != 7 || r.Defect() != "" {
			t.Errorf("%s: after Reset %d, defect %q", tt.name, n, r.Defect())
		}
	}
}

// After a defect nothing is read any more, and the defect stays.
func TestFirstDefectStays(t *testing.T) {
	var r wire.Reader
	r.Reset(unhex(t, "a161"))
	r.Bytes("first")
	if got := r.Text("second"); got != nil || r.More() || r.Defect() != "first is of another type" {
		t.Errorf("%q, more %v, defect %q", got, r.More(), r.Defect())
	}
}

func TestSeal(t *testing.T) {
	sealed := wire.Seal("name", []byte("content"))
	if b, ok := wire.Unseal("name", sealed); !ok || string(b) != "content" || cap(b) != len(b) {
		t.Fatalf("%q, %v", b, ok)
	}
	if _, ok := wire.Unseal("nam", sealed); ok {
		t.Error("another name opens it")
	}
	for i := range sealed {
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			if _, ok := wire.Unseal("name", damaged); ok {
				t.Errorf("damage at byte %d, bit %d", i, bit)
			}
		}
		if _, ok := wire.Unseal("name", sealed[:i]); ok {
			t.Errorf("cut at %d", i)
		}
	}
	// CRC-32C of "123456789" is e3069283 (RFC 3720 has other samples of the same sum).
	if got := wire.Sum("1234", []byte("56789")); got == 0xe3069283 {
		t.Error("name and content are not separated")
	}
	if got := wire.Sum("", nil); got != 0x527d5351 {
		t.Errorf("the sum of a zero byte is %08x", got)
	}
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestValue: what any encoder writes is a value, in each of its forms; of that,
// what is cut short is none, nor is what has more behind it.
func TestValue(t *testing.T) {
	values := []string{
		"00", "7f", "ff", "c0", "c2", "c3", "80", "90", "a0", "8100c0", "9100", "a178",
		"c400", "c50000", "c60000000178", "d90178", "da000178", "db0000000178",
		"c70105 78", "c8000105 78", "c900000001 05 78",
		"ca00000000", "cb0000000000000000", "cc00", "cd0000", "ce00000000", "cf0000000000000000", "d000", "d10000", "d200000000", "d30000000000000000",
		"d40500", "d5050000", "d60500000000", "d7050000000000000000", "d80500000000000000000000000000000000",
		"dc000100", "dd0000000100", "de00010000", "df000000010000", "9291009181a0dc0000",
	}
	for _, value := range values {
		b := unhex(t, strings.ReplaceAll(value, " ", ""))
		if defect := wire.Value(b); defect != "" {
			t.Errorf("%s: %s", value, defect)
		}
		for end := range b {
			if wire.Value(b[:end]) == "" {
				t.Errorf("%s is a value after %d bytes", value, end)
			}
		}
		if defect := wire.Value(append(b, 0xc0)); defect != "something comes after it" {
			t.Errorf("%s and more: %q", value, defect)
		}
	}
	for value, want := range map[string]string{
		"":               "it is cut short, or no msgpack",
		"c1":             "it is cut short, or no msgpack",
		"c6ffffffff":     "it is cut short, or no msgpack",
		"dd0400000000":   "it claims more elements than it has",
		"dfffffffff":     "it claims more elements than it has",
		"92dc0003000000": "it claims more elements than it has", // all but the last would be there
	} {
		if defect := wire.Value(unhex(t, value)); defect != want {
			t.Errorf("%s: %q, want %q", value, defect, want)
		}
	}
	for _, one := range []byte{0x91, 0x81} {
		nested := func(levels int) []byte {
			if one == 0x81 {
				return append(bytes.Repeat([]byte{0x81, 0xa0}, levels), 0xc0)
			}
			return append(bytes.Repeat([]byte{0x91}, levels), 0xc0)
		}
		if defect := wire.Value(nested(wire.MaxDepth)); defect != "" {
			t.Errorf("%d levels: %s", wire.MaxDepth, defect)
		}
		for _, levels := range []int{wire.MaxDepth + 1, 1 << 20} {
			if defect := wire.Value(nested(levels)); defect != "it is nested too deep" {
				t.Errorf("%d levels: %q", levels, defect)
			}
		}
	}
}
