package house

type room[T any] struct{ door T }

type opener interface{ open() bool }

func (r *room[T]) enter() T {
	return r.leave() // up
}
