package workflow

// value is one thing that a context carries.
type value struct {
	key, value any
	outer      *value
}

// Value gives what WithValue has put there; nil if nothing.
func (x *Context) Value(key any) any {
	for v := x.values; v != nil; v = v.outer {
		if v.key == key {
			return v.value
		}
	}
	return nil
}

// WithValue gives a context that carries a value as well.
func (x *Context) WithValue(key, v any) *Context {
	with := *x
	with.values = &value{key, v, x.values}
	return &with
}
