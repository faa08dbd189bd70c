package msg

// This file appends what locks and events store; see encode.go.

// AppendPrepared appends the fields of what an event came to at an instance.
func AppendPrepared(b []byte, p *Prepared) []byte {
	b = AppendFixed16Field(b, 1, p.Event)
	for i := range p.Changes {
		b = AppendChangeField(b, 2, &p.Changes[i])
	}
	for _, m := range p.Sends {
		b = AppendMessageField(b, 3, m)
	}
	for i := range p.Remind {
		b = AppendReminderField(b, 4, &p.Remind[i])
	}
	for _, name := range p.Forget {
		b = AppendStringElement(b, 5, name)
	}
	for i := range p.Tasks {
		b = AppendTaskField(b, 6, &p.Tasks[i])
	}
	return b
}

// AppendPreparedField appends what an event came to at an instance as a
// sub-message.
func AppendPreparedField(b []byte, field FieldNumber, p *Prepared) []byte {
	b, mark := OpenMessage(b, field, 128)
	return CloseMessage(AppendPrepared(b, p), mark)
}

// AppendLockHolder appends the fields of a holder of a lock.
func AppendLockHolder(b []byte, h *LockHolder) []byte {
	b = appendHolderField(b, 1, &h.Holder)
	b = AppendBoolField(b, 2, h.Shared)
	return AppendTimeField(b, 3, h.Since)
}

// AppendLockHolderField appends a holder of a lock as a sub-message.
func AppendLockHolderField(b []byte, field FieldNumber, h *LockHolder) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessage(AppendLockHolder(b, h), mark)
}

func appendLockChangeField(b []byte, field FieldNumber, c *LockChange) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = appendHolderField(b, 1, &c.Holder)
	b = AppendBoolField(b, 2, c.Shared)
	b = AppendBoolField(b, 3, c.Released)
	return CloseMessage(b, mark)
}

func appendHolder(b []byte, h *Holder) []byte {
	b = AppendRefField(b, 1, &h.Workflow)
	return AppendUvarintField(b, 2, uint64(h.Run))
}

func appendHolderField(b []byte, field FieldNumber, h *Holder) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessageField(appendHolder(b, h), mark)
}

func appendHolderElement(b []byte, field FieldNumber, h *Holder) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessage(appendHolder(b, h), mark)
}

func appendLockKeyElement(b []byte, field FieldNumber, k *LockKey) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendRefField(b, 1, &k.Ref)
	b = AppendBoolField(b, 2, k.Shared)
	return CloseMessage(b, mark)
}
