package msg

// This file appends what workflows and activities store; see encode.go.

// AppendWorkflow appends the fields of how a workflow stands.
func AppendWorkflow(b []byte, w *Workflow) []byte {
	b = AppendUvarintField(b, 1, uint64(w.Run))
	b = AppendUvarintField(b, 2, uint64(w.Status))
	b = AppendBoolField(b, 3, w.Paused)
	b = AppendBoolField(b, 4, w.Cancelling)
	b = AppendFixed16Field(b, 5, w.Input)
	for i := range w.Begin {
		b = appendDeliveryField(b, 6, &w.Begin[i])
	}
	for i := range w.Callers {
		b = appendReplyToElement(b, 7, &w.Callers[i])
	}
	b = AppendPackedField(b, 8, w.Promises)
	b = AppendStringField(b, 9, w.CodeVersion)
	b = AppendTimeField(b, 10, w.StartedAt)
	b = AppendTimeField(b, 11, w.EndedAt)
	b = AppendPayloadField(b, 12, &w.Output)
	b = AppendErrorField(b, 13, w.Err)
	for i := range w.Locks {
		b = appendLockKeyElement(b, 14, &w.Locks[i])
	}
	for i := range w.Chain {
		b = appendHolderElement(b, 15, &w.Chain[i])
	}
	b = appendHolderField(b, 16, &w.Hold)
	return AppendBoolField(b, 17, w.Tombstone)
}

// AppendWorkflowField appends how a workflow stands as a sub-message.
func AppendWorkflowField(b []byte, field FieldNumber, w *Workflow) []byte {
	b, mark := OpenMessage(b, field, 64+len(w.Output.Body))
	return CloseMessage(AppendWorkflow(b, w), mark)
}

// AppendEntry appends the fields of an entry of a journal.
func AppendEntry(b []byte, e *Entry) []byte {
	b = AppendTimeField(b, 1, e.Time)
	for i := range e.Deliveries {
		b = appendDeliveryField(b, 2, &e.Deliveries[i])
	}
	for i := range e.Steps {
		b = appendStepField(b, 3, &e.Steps[i])
	}
	return b
}

func appendDeliveryField(b []byte, field FieldNumber, d *Delivery) []byte {
	b, mark := OpenMessage(b, field, len(d.Payload.Body))
	b = AppendUvarintField(b, 1, uint64(d.Kind))
	b = AppendUvarintField(b, 2, uint64(d.Step))
	b = AppendStringField(b, 3, d.Name)
	b = AppendPayloadField(b, 4, &d.Payload)
	b = AppendErrorField(b, 5, d.Err)
	return CloseMessage(b, mark)
}

func appendStepField(b []byte, field FieldNumber, s *Step) []byte {
	b, mark := OpenMessage(b, field, len(s.Output.Body))
	b = AppendUvarintField(b, 1, uint64(s.Kind))
	b = AppendStringField(b, 2, s.Name)
	b = AppendFixed16Field(b, 3, s.Hash)
	b = AppendPayloadField(b, 4, &s.Output)
	b = AppendErrorField(b, 5, s.Err)
	return CloseMessage(b, mark)
}

// AppendTask appends the fields of a task.
func AppendTask(b []byte, t *Task) []byte {
	b = AppendUvarintField(b, 1, uint64(t.Run))
	b = AppendUvarintField(b, 2, uint64(t.Step))
	b = AppendStringField(b, 3, t.Activity)
	b = AppendPayloadField(b, 4, &t.Input)
	for i := range t.Headers {
		b = appendHeaderField(b, 5, &t.Headers[i])
	}
	b = AppendStringField(b, 6, t.Traceparent)
	b = AppendVarintField(b, 7, int64(t.Timeout))
	b = AppendTimeField(b, 8, t.Deadline)
	b = AppendVarintField(b, 9, int64(t.Heartbeat))
	b = appendRetryField(b, 10, &t.Retry)
	b = AppendUvarintField(b, 11, uint64(t.Attempt))
	b = AppendTimeField(b, 12, t.Due)
	b = AppendTimeField(b, 13, t.Asked)
	b = AppendPayloadField(b, 14, &t.Detail)
	b = AppendErrorField(b, 15, t.Err)
	b = AppendBoolField(b, 16, t.Silent)
	return AppendStringField(b, 17, t.Handler)
}

// AppendTaskField appends a task as a sub-message.
func AppendTaskField(b []byte, field FieldNumber, t *Task) []byte {
	b, mark := OpenMessage(b, field, 64+len(t.Input.Body))
	return CloseMessage(AppendTask(b, t), mark)
}

func appendRetryField(b []byte, field FieldNumber, r *Retry) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendVarintField(b, 1, int64(r.First))
	b = AppendVarintField(b, 2, int64(r.Max))
	b = AppendUvarintField(b, 3, uint64(r.FactorPercent))
	b = AppendUvarintField(b, 4, uint64(r.Attempts))
	for _, code := range r.Never {
		b = AppendStringElement(b, 5, code)
	}
	return CloseMessageField(b, mark)
}

func appendTaskNameElement(b []byte, field FieldNumber, n *TaskName) []byte {
	b, mark := OpenMessage(b, field, 0)
	b = AppendUvarintField(b, 1, uint64(n.Run))
	b = AppendUvarintField(b, 2, uint64(n.Step))
	return CloseMessage(b, mark)
}
