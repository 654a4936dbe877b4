package idbstore

import "github.com/hack-pad/safejs"

// listeners are functions that JavaScript can call, by the name of the property
// that holds them. The caller that makes them releases them.
type listeners map[string]safejs.Func

// make adds functions.
func (l *listeners) make(handlers map[string]func(event safejs.Value)) error {
	if *l == nil {
		*l = listeners{}
	}
	for property, handle := range handlers {
		fn, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
			event := safejs.Undefined()
			if len(args) > 0 {
				event = args[0]
			}
			handle(event)
			return nil
		})
		if err != nil {
			l.release()
			return failureOf(err)
		}
		(*l)[property] = fn
	}
	return nil
}

// listen adds functions and sets them as properties of target.
func (l *listeners) listen(target safejs.Value, handlers map[string]func(event safejs.Value)) error {
	if err := l.make(handlers); err != nil {
		return err
	}
	for property := range handlers {
		if err := target.Set(property, (*l)[property]); err != nil {
			l.release()
			return failureOf(err)
		}
	}
	return nil
}

func (l listeners) fn(property string) safejs.Func { return l[property] }

func (l listeners) release() {
	for _, fn := range l {
		fn.Release()
	}
	clear(l)
}
