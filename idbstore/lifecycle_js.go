package idbstore

import "context"

// lifecycle follows whether the page is frozen (W3C, Page Lifecycle), or about
// to be. Nothing runs in a frozen page, but what it holds stays held.
type lifecycle struct {
	frozen  bool
	changed chan struct{} // closed with the next change; nil while nobody waits
}

func (p *lifecycle) set(frozen bool) {
	p.frozen = frozen
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// next returns a channel that is closed with the next change.
func (p *lifecycle) next() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// thawed waits until the page is not frozen.
func (p *lifecycle) thawed(ctx context.Context) error {
	for p.frozen {
		select {
		case <-p.next():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
