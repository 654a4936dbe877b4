package core_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

func metadataOf(s *core.State) map[string]string {
	all := map[string]string{}
	for key, value := range s.Metadata().All() {
		all[key] = string(value)
	}
	return all
}

func TestMetadata(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	for _, step := range []struct {
		what   string
		patch  map[string][]byte
		events int
		want   map[string]string
	}{
		{"nothing", nil, 0, map[string]string{}},
		{"two keys", map[string][]byte{"title": []byte("Trees"), "read": {}}, 2, map[string]string{"title": "Trees", "read": ""}},
		{"one changes, one does not", map[string][]byte{"title": []byte("Oaks"), "read": {}}, 1, map[string]string{"title": "Oaks", "read": ""}},
		{"nothing changes", map[string][]byte{"title": []byte("Oaks"), "other": nil}, 0, map[string]string{"title": "Oaks", "read": ""}},
		{"one goes, one comes", map[string][]byte{"title": nil, "a": []byte("b")}, 2, map[string]string{"a": "b", "read": ""}},
	} {
		before := c.ExpectedSeq()
		if err := c.SetMetadata(t.Context(), step.patch); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if n := c.ExpectedSeq() - before; int(n) != step.events {
			t.Errorf("%s: %d events", step.what, n)
		}
		if got := metadataOf(c.State()); !maps.Equal(got, step.want) {
			t.Errorf("%s: %q", step.what, got)
		}
		if c.ExpectedSeq() == 0 {
			continue
		}
		if got := recovered(t, "c", store).State().Metadata(); got != c.State().Metadata() || listed(t, store, "c").Metadata != got {
			t.Errorf("%s: recovered %+v, listed %+v", step.what, got, listed(t, store, "c"))
		}
	}
	value, _ := c.State().Metadata().Value("a")
	clear(value) // which is the caller's
	if value, ok := c.State().Metadata().Value("a"); !ok || string(value) != "b" {
		t.Errorf("a is %q, %v", value, ok)
	}
	if value, ok := c.State().Metadata().Value("title"); ok || value != nil {
		t.Errorf("title is %q, %v", value, ok)
	}
}

// TestMetadataBeginAConversation: one with nothing else exists and is listed.
func TestMetadataBeginAConversation(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	if sent, err := c.SendWith(t.Context(), "m", 1, nil, core.SendOptions{IfExists: true}); sent || !errors.Is(err, core.ErrCancelled) {
		t.Fatalf("%v, %v", sent, err)
	}
	if err := c.SetMetadata(t.Context(), map[string][]byte{"title": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if s := listed(t, store, "c"); s.Created == 0 || s.Updated != s.Created || s.Unfinished > 0 || s.Due > 0 {
		t.Errorf("listed as %+v", s)
	}
	if err := c.SetMetadata(t.Context(), map[string][]byte{"title": nil}); err != nil {
		t.Fatal(err)
	}
	if sent, err := c.SendWith(t.Context(), "m", 1, nil, core.SendOptions{IfExists: true}); !sent || err != nil {
		t.Errorf("it does not exist: %v, %v", sent, err)
	}
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(t.Context()); err != nil || c.State().Metadata() != (core.Metadata{}) {
		t.Errorf("after a deletion: %v, %q", err, metadataOf(c.State()))
	}
}

// TestIfExists: neither metadata nor a note begin a deleted conversation again.
func TestIfExists(t *testing.T) {
	store := memstore.New()
	c, stale := newConversation(t, "c", store), newConversation(t, "c", store)
	set := func(c *core.Conversation, title string, want error) {
		t.Helper()
		err := c.SetMetadataWith(t.Context(), map[string][]byte{"title": []byte(title)}, core.MetadataOptions{IfExists: true})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", title, err, want)
		}
		added, err := c.NoteWith(t.Context(), core.Note{Type: "title", ID: title}, core.NoteOptions{IfExists: true})
		if added != (want == nil) || !errors.Is(err, want) {
			t.Errorf("note of %s: %t, %v, want %v", title, added, err, want)
		}
	}
	set(c, "too early", core.ErrCancelled)
	record(t, c, received("m", 1, ""))
	set(stale, "of one who does not know the message", nil)
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	set(c, "of one who knows more than there is", core.ErrCancelled)
	set(stale, "of one who knows more than there is", core.ErrCancelled) // it was that already
	if got := metadataOf(recovered(t, "c", store).State()); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
	record(t, c, received("again", 1, ""))
	set(stale, "after that", nil)
	if got := metadataOf(recovered(t, "c", store).State()); got["title"] != "after that" {
		t.Errorf("there are %q", got)
	}
}

// TestMetadataOfTwo: a patch is decided on what others have set, and the last one of
// a key counts.
func TestMetadataOfTwo(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	for i, who := range []*core.Conversation{c, other, c} {
		if err := who.SetMetadata(t.Context(), map[string][]byte{"title": {byte(i)}, fmt.Sprint(i): {}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := metadataOf(c.State()), map[string]string{"title": "\x02", "0": "", "1": "", "2": ""}; !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMetadataThatAreTooLarge(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	large := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	for _, step := range []struct {
		what  string
		patch map[string][]byte
		want  error
	}{
		{"the largest", map[string][]byte{"a": large(core.MaxMetadataBytes - 3), "b": large(1)}, nil},
		{"one byte more", map[string][]byte{"b": large(2)}, core.ErrTooLarge},
		{"a key more", map[string][]byte{"c": {}}, core.ErrTooLarge},
		{"a key for another", map[string][]byte{"c": large(1), "b": nil}, nil},
		{"one grows by what another shrinks", map[string][]byte{"a": large(1), "c": large(core.MaxMetadataBytes - 3)}, nil},
		{"too large alone", map[string][]byte{"a": large(core.MaxMetadataBytes)}, core.ErrTooLarge},
		{"without a name", map[string][]byte{"": {}, "d": nil}, core.ErrInvalidArgument},
		{"removed without a name", map[string][]byte{"": nil}, core.ErrInvalidArgument},
	} {
		before, head := c.State().Metadata(), c.ExpectedSeq()
		if err := c.SetMetadata(t.Context(), step.patch); core.CodeOf(err) != core.CodeOf(step.want) {
			t.Fatalf("%s: %v", step.what, err)
		}
		after := c.State().Metadata()
		if refused := step.want != nil; refused != (after == before) || refused != (c.ExpectedSeq() == head) {
			t.Errorf("%s: set %v, at %d", step.what, after != before, c.ExpectedSeq())
		}
		if got := recovered(t, "c", store).State().Metadata(); got != after {
			t.Errorf("%s: another program reads something else", step.what)
		}
	}
	// What another program has appended all the same is ignored.
	record(t, c, set("title", large(core.MaxMetadataBytes)))
	if got := metadataOf(c.State()); len(got) != 2 {
		t.Errorf("there are %d keys", len(got))
	}
}

// TestMetadataAgainstAModel: patches of all sizes give what a map has, or nothing.
func TestMetadataAgainstAModel(t *testing.T) {
	refused := 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 6))
		c := newConversation(t, "c", memstore.New())
		model := map[string][]byte{}
		for range 40 {
			patch, want, size := map[string][]byte{}, maps.Clone(model), 0
			for range r.IntN(6) {
				key := fmt.Sprint("key", r.IntN(9))
				if delete(want, key); r.IntN(3) == 0 {
					patch[key] = nil
				} else {
					patch[key] = bytes.Repeat([]byte{byte(r.Int())}, r.IntN(7000))
					want[key] = patch[key]
				}
			}
			for key, value := range want {
				size += len(key) + len(value)
			}
			err := c.SetMetadata(t.Context(), patch)
			if fits := size <= core.MaxMetadataBytes; fits != (err == nil) || !fits && !errors.Is(err, core.ErrTooLarge) {
				t.Fatalf("seed %d: %d bytes: %v", seed, size, err)
			} else if fits {
				model = want
			} else {
				refused++
			}
			if got := maps.Collect(c.State().Metadata().All()); !reflect.DeepEqual(got, model) {
				t.Fatalf("seed %d: %d keys, want %d", seed, len(got), len(model))
			}
		}
	}
	if refused < 100 || refused > 3500 {
		t.Errorf("%d patches were refused", refused)
	}
}
