package house

const height = 2

func (r *room[T]) leave() T { return r.door }

func climb(o opener) bool {
	house := room[int]{door: height}
	return o.open() && house.enter() == height
}
