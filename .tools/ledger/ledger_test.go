package main

import "testing"

func TestPartOf(t *testing.T) {
	for name, want := range map[string]string{
		"github.com_holdfast_dev_holdfast_core_runner.__Attempt_.begin": "holdfast/core/runner",
		"github.com_holdfast_dev_holdfast_internal_wire.Seal":           "holdfast/internal/wire",
		"github.com_vmihailenco_msgpack_v5.__Decoder_.DecodeNil":        "vmihailenco_msgpack_v5",
		"main.__bridge_.replied.func1.1.1":                              "holdfast/wasm",
		"runtime.exit":                                                  "Go's runtime",
		"internal_runtime_maps.rand":                                    "Go's runtime",
		"type_.eq.strings.singleStringReplacer":                         "Go's standard library",
	} {
		if got := partOf(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestLedger(t *testing.T) {
	// One function is imported, two are defined: of 2 and of 5 bytes, f and main.g.
	module := "\x00asm\x01\x00\x00\x00" +
		"\x02\x07\x01\x01a\x01b\x00\x00" +
		"\x0a\x0a\x02\x02\x00\x0b\x05\x00\x01\x01\x01\x0b" +
		"\x00\x1b\x04name\x01\x14\x03\x00\x01h\x01\x06time.f\x02\x06main.g"
	parts, err := ledger([]byte(module))
	if err != nil || len(parts) != 2 || parts["Go's standard library"] != 2 || parts["holdfast/wasm"] != 5 {
		t.Errorf("%v, %v", parts, err)
	}
	if _, err := ledger([]byte("something else")); err == nil {
		t.Error("something else has a ledger")
	}
}
