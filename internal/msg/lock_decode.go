package msg

// This file is the inverse of lock_encode.go; see decode.go.

// DecodePrepared decodes what AppendPrepared appended.
func DecodePrepared(b []byte) (*Prepared, error) {
	d := NewDecoder("Prepared", b)
	p := new(Prepared)
	p.decode(&d)
	return p, d.Err()
}

// Prepared is the current field as what an event came to at an instance.
func (d *Decoder) Prepared() *Prepared {
	p := new(Prepared)
	s := d.Sub("Prepared")
	p.decode(&s)
	d.Fail(s.Err())
	return p
}

func (p *Prepared) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			p.Event = d.Fixed16()
		case 2:
			p.Changes = append(p.Changes, d.Change())
		case 3:
			p.Sends = append(p.Sends, d.Message())
		case 4:
			p.Remind = append(p.Remind, d.Reminder())
		case 5:
			p.Forget = append(p.Forget, d.Text())
		case 6:
			p.Tasks = append(p.Tasks, d.Task())
		default:
			d.Unknown()
		}
	}
}

// DecodeLockHolder decodes what AppendLockHolder appended.
func DecodeLockHolder(b []byte) (h LockHolder, err error) {
	d := NewDecoder("LockHolder", b)
	h.decode(&d)
	return h, d.Err()
}

// LockHolder is the current field as a holder of a lock.
func (d *Decoder) LockHolder() (h LockHolder) {
	s := d.Sub("LockHolder")
	h.decode(&s)
	d.Fail(s.Err())
	return h
}

func (h *LockHolder) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			h.Holder = d.holder()
		case 2:
			h.Shared = d.Bool()
		case 3:
			h.Since = d.Time()
		default:
			d.Unknown()
		}
	}
}

func (d *Decoder) lockChange() (c LockChange) {
	s := d.Sub("LockChange")
	for s.Next() {
		switch s.Field() {
		case 1:
			c.Holder = s.holder()
		case 2:
			c.Shared = s.Bool()
		case 3:
			c.Released = s.Bool()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return c
}

func (d *Decoder) holder() (h Holder) {
	s := d.Sub("Holder")
	for s.Next() {
		switch s.Field() {
		case 1:
			h.Workflow = s.Ref()
		case 2:
			h.Run = Index(s.Uvarint())
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return h
}

func (d *Decoder) lockKey() (k LockKey) {
	s := d.Sub("LockKey")
	for s.Next() {
		switch s.Field() {
		case 1:
			k.Ref = s.Ref()
		case 2:
			k.Shared = s.Bool()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return k
}
