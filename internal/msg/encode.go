package msg

// This file appends the nouns that are stored. The schema, with the meaning of
// every field, is proto/holdfast/log/v1/record.proto; a test holds the two
// together. For each noun there is AppendX, which appends its fields, and
// AppendXField, which appends it as a sub-message.

// AppendRecord appends the fields of a record. It does not allocate if b has
// room.
func AppendRecord(b []byte, r *Record) []byte {
	b = AppendUvarintField(b, 1, uint64(r.Kind))
	b = AppendUvarintField(b, 2, uint64(r.Partition))
	b = AppendUvarintField(b, 3, uint64(r.Index))
	b = AppendTimeField(b, 4, r.Time)
	b = AppendRefField(b, 5, &r.Instance)
	b = AppendMessageIDsField(b, 6, r.Consumed)
	if r.Accepted != nil {
		b = AppendMessageField(b, 7, r.Accepted)
	}
	b = AppendPackedField(b, 8, r.Finished)
	for i := range r.Changes {
		b = AppendChangeField(b, 9, &r.Changes[i])
	}
	for _, m := range r.Outbox {
		b = AppendMessageField(b, 10, m)
	}
	b = AppendMessageIDsField(b, 11, r.Acked)
	for i := range r.Remind {
		b = AppendReminderField(b, 12, &r.Remind[i])
	}
	for _, name := range r.Forget {
		b = AppendStringElement(b, 13, name)
	}
	for i := range r.Answers {
		b = AppendAnswerField(b, 14, &r.Answers[i])
	}
	for i := range r.Attempts {
		b = appendAttemptCountField(b, 15, &r.Attempts[i])
	}
	return appendRareFields(b, r)
}

// appendRareFields appends the fields of a record whose tags take two bytes.
func appendRareFields(b []byte, r *Record) []byte {
	for i := range r.DeadLetters {
		b = AppendDeadLetterField(b, 16, &r.DeadLetters[i])
	}
	for _, id := range r.Discarded {
		b = AppendFixed16Element(b, 17, id)
	}
	b = AppendUvarintField(b, 18, uint64(r.Pruned))
	for i := range r.Kinds {
		b = AppendKindRuleField(b, 19, &r.Kinds[i])
	}
	b = AppendUvarintField(b, 20, uint64(r.Epoch))
	b = AppendStringField(b, 21, r.CodeVersion)
	if r.Workflow != nil {
		b = AppendWorkflowField(b, 32, r.Workflow)
	}
	for i := range r.Tasks {
		b = AppendTaskField(b, 33, &r.Tasks[i])
	}
	for i := range r.TasksEnded {
		b = appendTaskNameElement(b, 34, &r.TasksEnded[i])
	}
	for i := range r.Locks {
		b = appendLockChangeField(b, 35, &r.Locks[i])
	}
	if r.Prepared != nil {
		b = AppendPreparedField(b, 36, r.Prepared)
	}
	return AppendFixed16Field(b, 37, r.Decided)
}

// AppendMessage appends the fields of a message.
func AppendMessage(b []byte, m *Message) []byte {
	b = appendMessageIDField(b, 1, m.ID)
	b = AppendUvarintField(b, 2, uint64(m.Kind))
	b = AppendRefField(b, 3, &m.Sender)
	b = AppendRefField(b, 4, &m.Target)
	b = AppendStringField(b, 5, m.Handler)
	b = AppendPayloadField(b, 6, &m.Payload)
	for i := range m.Headers {
		b = appendHeaderField(b, 7, &m.Headers[i])
	}
	b = AppendStringField(b, 8, m.Traceparent)
	b = AppendTimeField(b, 9, m.Deadline)
	b = AppendTimeField(b, 10, m.NotBefore)
	b = appendReplyToField(b, 11, &m.ReplyTo)
	b = AppendErrorField(b, 12, m.Err)
	b = appendIdentityField(b, 13, &m.Identity)
	b = AppendFixed16Field(b, 14, m.Invocation)
	b = AppendStringField(b, 15, m.Reminder)
	b = AppendUvarintField(b, 16, uint64(m.OnConflict))
	b = appendHolderField(b, 17, &m.Hold)
	for i := range m.Chain {
		b = appendHolderElement(b, 18, &m.Chain[i])
	}
	for i := range m.Keys {
		b = appendLockKeyElement(b, 19, &m.Keys[i])
	}
	return b
}

// AppendMessageField appends a message as a sub-message.
func AppendMessageField(b []byte, field FieldNumber, m *Message) []byte {
	// 100: ids, kinds and keys of a typical message.
	b, mark := OpenMessage(b, field, 100+len(m.Payload.Body))
	return CloseMessage(AppendMessage(b, m), mark)
}

// AppendReminder appends the fields of a reminder.
func AppendReminder(b []byte, r *Reminder) []byte {
	b = AppendStringField(b, 1, r.Name)
	b = AppendStringField(b, 2, r.Handler)
	b = AppendPayloadField(b, 3, &r.Payload)
	b = AppendTimeField(b, 4, r.Due)
	b = AppendVarintField(b, 5, int64(r.Schedule.Every))
	return AppendStringField(b, 6, r.Schedule.Cron)
}

// AppendReminderField appends a reminder as a sub-message.
func AppendReminderField(b []byte, field FieldNumber, r *Reminder) []byte {
	b, mark := OpenMessage(b, field, len(r.Payload.Body))
	return CloseMessage(AppendReminder(b, r), mark)
}

// AppendAnswer appends the fields of an answer.
func AppendAnswer(b []byte, a *Answer) []byte {
	b = AppendFixed16Field(b, 1, a.Invocation)
	b = AppendUvarintField(b, 2, uint64(a.Status))
	b = AppendPayloadField(b, 3, &a.Payload)
	b = AppendErrorField(b, 4, a.Err)
	b = AppendFixed16Field(b, 5, a.Session)
	b = AppendUvarintField(b, 6, a.SessionNumber)
	b = AppendFixed16Field(b, 7, a.Idempotency)
	b = AppendFixed16Field(b, 8, a.Body)
	return AppendBoolField(b, 9, a.Submitted)
}

// AppendAnswerField appends an answer as a sub-message.
func AppendAnswerField(b []byte, field FieldNumber, a *Answer) []byte {
	b, mark := OpenMessage(b, field, len(a.Payload.Body))
	return CloseMessage(AppendAnswer(b, a), mark)
}

// AppendDeadLetter appends the fields of a dead letter.
func AppendDeadLetter(b []byte, l *DeadLetter) []byte {
	b = AppendFixed16Field(b, 1, l.ID)
	b, mark := OpenMessage(b, 2, len(l.Message.Payload.Body))
	b = CloseMessageField(AppendMessage(b, &l.Message), mark)
	b = AppendStringField(b, 3, l.Reason)
	b = AppendTimeField(b, 4, l.Time)
	return AppendPayloadField(b, 5, &l.State)
}

// AppendDeadLetterField appends a dead letter as a sub-message.
func AppendDeadLetterField(b []byte, field FieldNumber, l *DeadLetter) []byte {
	b, mark := OpenMessage(b, field, len(l.Message.Payload.Body)+len(l.State.Body))
	return CloseMessage(AppendDeadLetter(b, l), mark)
}

// AppendParked appends the fields of a description of a parked instance.
func AppendParked(b []byte, p *Parked) []byte {
	b = AppendRefField(b, 1, &p.Target)
	b = AppendStringField(b, 2, p.Reason)
	b = AppendTimeField(b, 3, p.Since)
	return AppendVarintField(b, 4, int64(p.Waiting))
}

// AppendParkedField appends a description of a parked instance as a
// sub-message.
func AppendParkedField(b []byte, field FieldNumber, p *Parked) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessage(AppendParked(b, p), mark)
}

// AppendKindRule appends the fields of an entry of the kind table.
func AppendKindRule(b []byte, k *KindRule) []byte {
	b = AppendStringField(b, 1, k.Kind)
	b = AppendStringField(b, 2, k.Affinity)
	b = AppendUvarintField(b, 3, uint64(k.HashKind))
	b = AppendUvarintField(b, 4, uint64(k.Partition))
	return AppendUvarintField(b, 5, uint64(k.Form))
}

// AppendKindRuleField appends an entry of the kind table as a sub-message.
func AppendKindRuleField(b []byte, field FieldNumber, k *KindRule) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessage(AppendKindRule(b, k), mark)
}

// AppendChangeField appends a change as a sub-message.
func AppendChangeField(b []byte, field FieldNumber, c *Change) []byte {
	b, mark := OpenMessage(b, field, len(c.Value))
	b = AppendUvarintField(b, 1, uint64(c.Kind))
	b = AppendStringField(b, 2, c.Field)
	b = AppendStringField(b, 3, c.Key)
	b = AppendBytesField(b, 4, c.Value)
	b = AppendStringField(b, 5, c.ContentType)
	b = AppendUvarintField(b, 6, uint64(c.StateVersion))
	b = AppendUvarintField(b, 7, uint64(c.Base))
	b = AppendUvarintField(b, 8, uint64(c.Offset))
	b = AppendUvarintField(b, 9, uint64(c.Remove))
	return CloseMessage(b, mark)
}

// AppendRefField appends a ref as a sub-message, unless it is zero.
func AppendRefField(b []byte, field FieldNumber, r *Ref) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendStringField(b, 1, r.Namespace)
	b = AppendStringField(b, 2, r.Kind)
	b = AppendStringField(b, 3, r.Key)
	return CloseMessageField(b, mark)
}

// AppendPayloadField appends a payload as a sub-message, unless it is zero.
func AppendPayloadField(b []byte, field FieldNumber, p *Payload) []byte {
	b, mark := OpenMessage(b, field, len(p.Body))
	b = AppendStringField(b, 1, p.ContentType)
	b = AppendBytesField(b, 2, p.Body)
	return CloseMessageField(b, mark)
}

// AppendErrorField appends an error as a sub-message, unless it is nil.
func AppendErrorField(b []byte, field FieldNumber, e *Error) []byte {
	if e == nil {
		return b
	}
	b, mark := OpenMessage(b, field, len(e.Message)+len(e.Detail))
	b = AppendStringField(b, 1, e.Code)
	b = AppendUvarintField(b, 2, uint64(e.Class))
	b = AppendStringField(b, 3, e.Message)
	b = AppendBytesField(b, 4, e.Detail)
	return CloseMessage(b, mark)
}

// AppendMessageIDsField appends a list of message ids as sub-messages. Ids that
// follow each other on one channel share one: numbers that count up cost one
// byte each.
func AppendMessageIDsField(b []byte, field FieldNumber, list []MessageID) []byte {
	for len(list) > 0 {
		run := channelRun(list)
		b = appendMessageIDRun(b, field, list[:run])
		list = list[run:]
	}
	return b
}

// channelRun counts the ids at the beginning of the list that are of one
// channel.
func channelRun(list []MessageID) int {
	for i := range list {
		if list[i].Source != list[0].Source || list[i].Destination != list[0].Destination {
			return i
		}
	}
	return len(list)
}

func appendMessageIDRun(b []byte, field FieldNumber, run []MessageID) []byte {
	b, mark := OpenMessage(b, field, len(run))
	b = appendMessageID(b, run[0])
	if len(run) > 1 {
		var steps Mark
		b, steps = OpenMessage(b, 4, len(run))
		for i := range run[1:] {
			b = appendVarint(b, zigzag(int64(run[i+1].Number-run[i].Number)))
		}
		b = CloseMessage(b, steps)
	}
	return CloseMessage(b, mark)
}

func appendMessageID(b []byte, id MessageID) []byte {
	b = AppendUvarintField(b, 1, uint64(id.Source))
	b = AppendUvarintField(b, 2, uint64(id.Destination))
	return AppendUvarintField(b, 3, uint64(id.Number))
}

func appendMessageIDField(b []byte, field FieldNumber, id MessageID) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessageField(appendMessageID(b, id), mark)
}

func appendAttemptCountField(b []byte, field FieldNumber, a *AttemptCount) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendFixed16Field(b, 1, a.Input)
	b = AppendUvarintField(b, 2, uint64(a.Count))
	return CloseMessage(b, mark)
}

func appendHeaderField(b []byte, field FieldNumber, h *Header) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendStringField(b, 1, h.Name)
	b = AppendStringField(b, 2, h.Value)
	return CloseMessage(b, mark)
}

func appendReplyToField(b []byte, field FieldNumber, r *ReplyTo) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessageField(appendReplyTo(b, r), mark)
}

func appendReplyToElement(b []byte, field FieldNumber, r *ReplyTo) []byte {
	b, mark := OpenMessage(b, field, 0)
	return CloseMessage(appendReplyTo(b, r), mark)
}

func appendReplyTo(b []byte, r *ReplyTo) []byte {
	b = AppendUvarintField(b, 1, uint64(r.Origin))
	b = AppendFixed16Field(b, 2, r.Invocation)
	b = AppendRefField(b, 3, &r.Target)
	b = AppendUvarintField(b, 4, uint64(r.Run))
	return AppendUvarintField(b, 5, uint64(r.Step))
}

func appendIdentityField(b []byte, field FieldNumber, i *Identity) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendStringField(b, 1, i.IdempotencyKey)
	b = AppendFixed16Field(b, 2, i.Session)
	b = AppendUvarintField(b, 3, i.SessionNumber)
	return CloseMessageField(b, mark)
}
