package house

var _ = climb
