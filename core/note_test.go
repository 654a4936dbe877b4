package core_test

import (
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
	"github.com/holdfast-dev/holdfast/core/memstore"
)

func TestNotes(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	data := []byte("one")
	for _, step := range []struct {
		note core.Note
		want bool
	}{
		{core.Note{Type: "draft", ID: "a", At: 1, Data: data}, true},
		{core.Note{Type: "draft", ID: "b", At: 2}, true},
		{core.Note{Type: "draft", ID: "a", At: 3, Data: []byte("again")}, false},
		{core.Note{Type: "pinned", ID: "a", At: 4, Data: []byte{}}, true},
	} {
		if added, err := c.Note(t.Context(), step.note); added != step.want || err != nil {
			t.Fatalf("%+v: %v, %v", step.note, added, err)
		}
	}
	clear(data)
	check := func(how string, s *core.State) {
		t.Helper()
		drafts := []core.Note{{Type: "draft", ID: "a", At: 1, Data: []byte("one")}, {Type: "draft", ID: "b", At: 2}}
		if got := s.Notes("draft"); !reflect.DeepEqual(got, drafts) {
			t.Errorf("%s: drafts %+v", how, got)
		}
		if got, want := s.Notes("pinned"), []core.Note{{Type: "pinned", ID: "a", At: 4, Data: []byte{}}}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: pinned %+v", how, got)
		}
		if got := s.Notes("other"); got != nil {
			t.Errorf("%s: others %+v", how, got)
		}
	}
	check("live", c.State())
	check("recovered", recovered(t, "c", store).State())
	clone := c.State().Clone()
	clone.Apply(aNote("draft", "in the clone", 5, nil))
	c.State().Apply(aNote("later", "in the original", 5, nil))
	check("the original", c.State())
	if got := clone.Notes("draft"); len(got) != 3 || len(clone.Notes("later")) > 0 {
		t.Errorf("the clone has %+v", got)
	}
	if len(kinds(t, store, "c")) != 3 {
		t.Errorf("the log has %v", kinds(t, store, "c"))
	}
	// With the log go its notes, and their ids are free again.
	if err := store.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if added, err := c.Note(t.Context(), core.Note{Type: "draft", ID: "a"}); !added || err != nil {
		t.Errorf("after a deletion: %v, %v", added, err)
	}
}

func TestBadNotesAreRefused(t *testing.T) {
	c := newConversation(t, "c", memstore.New())
	for want, notes := range map[core.Code][]core.Note{
		core.ErrInvalidArgument: {{Type: "", ID: "a"}, {Type: "t", ID: ""}, {Type: "\xff", ID: "a"}},
		core.ErrOutOfRange:      {{Type: "t", ID: "a", At: core.MaxSequence + 1}},
		core.ErrTooLarge:        {{Type: "t", ID: "a", Data: make([]byte, core.MaxPayloadBytes)}},
	} {
		for _, note := range notes {
			if added, err := c.Note(t.Context(), note); added || core.CodeOf(err) != want {
				t.Errorf("%.20v: %v, %v", note, added, err)
			}
		}
	}
	if c.ExpectedSeq() != 0 {
		t.Error("something was appended")
	}
}

// TestNoteIfLast: of those that come next after one note, one is appended.
func TestNoteIfLast(t *testing.T) {
	store := memstore.New()
	c, other := newConversation(t, "c", store), newConversation(t, "c", store)
	after := func(c *core.Conversation, id, last string) (bool, error) {
		return c.NoteWith(t.Context(), core.Note{Type: "version", ID: id}, core.NoteOptions{IfLast: &last})
	}
	if added, err := after(c, "1", "0"); added || !errors.Is(err, core.ErrSequenceConflict) {
		t.Errorf("after one that is not there: %v, %v", added, err)
	}
	if added, err := after(c, "1", ""); !added || err != nil {
		t.Fatalf("the first: %v, %v", added, err)
	}
	if _, err := c.Note(t.Context(), core.Note{Type: "draft", ID: "9"}); err != nil {
		t.Fatal(err)
	}
	// The other one does not know of it yet, and hears.
	if added, err := after(other, "2", ""); added || !errors.Is(err, core.ErrSequenceConflict) || len(other.State().Notes("version")) != 1 {
		t.Errorf("a second first one: %v, %v; it knows %+v", added, err, other.State().Notes("version"))
	}
	if added, err := after(other, "2", "1"); !added || err != nil {
		t.Errorf("the second: %v, %v", added, err)
	}
	// Once more, as after an outcome that nobody knows: it is there.
	if added, err := after(c, "2", "1"); added || err != nil {
		t.Errorf("the second again: %v, %v", added, err)
	}
	wins := 0
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range 8 {
		all.Go(func() {
			added, err := after(recovered(t, "c", store), "third "+strconv.Itoa(i), "2")
			if added == (err != nil) || err != nil && !errors.Is(err, core.ErrSequenceConflict) {
				t.Errorf("%v, %v", added, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if added {
				wins++
			}
		})
	}
	all.Wait()
	if notes := recovered(t, "c", store).State().Notes("version"); wins != 1 || len(notes) != 3 {
		t.Errorf("%d are appended: %+v", wins, notes)
	}
}

// TestNotesAreNoMessages: no list of messages has them, and nothing processes them.
func TestNotesAreNoMessages(t *testing.T) {
	store := memstore.New()
	c := newConversation(t, "c", store)
	var changed [][]string
	c.Subscribe(func(change core.Change) { changed = append(changed, change.Messages) })
	record(t, c, aNote("draft", "m", 1, nil), set("m", []byte("x")))
	s := c.State()
	if _, known := s.Message("m"); known || s.Len() > 0 || !s.IsIdle() || len(s.Known()) > 0 {
		t.Error("there is a message")
	}
	record(t, c, received("m", 1, ""), aNote("draft", "n", 1, nil))
	if want := [][]string{nil, nil, {"m"}, nil}; !reflect.DeepEqual(changed, want) {
		t.Errorf("changed %q, want %q", changed, want)
	}
}
