package storetest

import (
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/core"
)

func TestOddNamesAreValidAndInOrder(t *testing.T) {
	for i, name := range oddNames {
		if err := core.CheckName("test", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if i > 0 && oddNames[i-1] >= name {
			t.Errorf("%q stands behind %q", name, oddNames[i-1])
		}
	}
}

func TestBadNamesAreInvalid(t *testing.T) {
	for _, name := range badNames {
		if core.CheckName("test", name) == nil {
			t.Errorf("%q is valid", name)
		}
	}
}

func TestStoriesHaveDifferentNames(t *testing.T) {
	var names []string
	for _, chapter := range chapters {
		for _, story := range chapter {
			if slices.Contains(names, story.name) {
				t.Errorf("two stories are named %q", story.name)
			}
			names = append(names, story.name)
		}
	}
}
