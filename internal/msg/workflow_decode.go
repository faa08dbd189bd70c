package msg

import "time"

// This file is the inverse of workflow_encode.go; see decode.go.

// DecodeWorkflow decodes what AppendWorkflow appended.
func DecodeWorkflow(b []byte) (*Workflow, error) {
	d := NewDecoder("Workflow", b)
	w := new(Workflow)
	w.decode(&d)
	return w, d.Err()
}

// Workflow is the current field as how a workflow stands.
func (d *Decoder) Workflow() *Workflow {
	w := new(Workflow)
	s := d.Sub("Workflow")
	w.decode(&s)
	d.Fail(s.Err())
	return w
}

func (w *Workflow) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			w.Run = Index(d.Uvarint())
		case 2:
			w.Status = WorkflowStatus(d.Enum(uint8(WorkflowTerminated)))
		case 3:
			w.Paused = d.Bool()
		case 4:
			w.Cancelling = d.Bool()
		case 5:
			w.Input = d.Fixed16()
		case 6:
			w.Begin = append(w.Begin, d.delivery())
		case 7:
			w.Callers = append(w.Callers, d.replyTo())
		case 8:
			w.Promises = DecodePacked(d, w.Promises)
		case 9:
			w.CodeVersion = d.Text()
		case 10:
			w.StartedAt = d.Time()
		case 11:
			w.EndedAt = d.Time()
		case 12:
			w.Output = d.Payload()
		case 13:
			w.Err = d.ErrorValue()
		default:
			w.decodeLocks(d)
		}
	}
}

// decodeLocks decodes what locks have to do with a workflow.
func (w *Workflow) decodeLocks(d *Decoder) {
	switch d.Field() {
	case 14:
		w.Locks = append(w.Locks, d.lockKey())
	case 15:
		w.Chain = append(w.Chain, d.holder())
	case 16:
		w.Hold = d.holder()
	case 17:
		w.Tombstone = d.Bool()
	default:
		d.Unknown()
	}
}

// DecodeEntry decodes what AppendEntry appended.
func DecodeEntry(b []byte) (e Entry, err error) {
	err = e.Decode(b)
	return e, err
}

// Decode decodes an entry of a journal in place of what was there. Its lists are
// used again, so that a journal can be read with the memory of one entry.
func (e *Entry) Decode(b []byte) error {
	*e = Entry{Deliveries: e.Deliveries[:0], Steps: e.Steps[:0]}
	d := NewDecoder("Entry", b)
	for d.Next() {
		switch d.Field() {
		case 1:
			e.Time = d.Time()
		case 2:
			e.Deliveries = append(e.Deliveries, d.delivery())
		case 3:
			e.Steps = append(e.Steps, d.step())
		default:
			d.Unknown()
		}
	}
	return d.Err()
}

func (d *Decoder) delivery() (v Delivery) {
	s := d.Sub("Delivery")
	for s.Next() {
		switch s.Field() {
		case 1:
			v.Kind = DeliveryKind(s.Enum(uint8(DeliveryCancel)))
		case 2:
			v.Step = StepNumber(s.Uvarint())
		case 3:
			v.Name = s.Text()
		case 4:
			v.Payload = s.Payload()
		case 5:
			v.Err = s.ErrorValue()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return v
}

func (d *Decoder) step() (v Step) {
	s := d.Sub("Step")
	for s.Next() {
		switch s.Field() {
		case 1:
			v.Kind = StepKind(s.Enum(uint8(StepFinish)))
		case 2:
			v.Name = s.Text()
		case 3:
			v.Hash = s.Fixed16()
		case 4:
			v.Output = s.Payload()
		case 5:
			v.Err = s.ErrorValue()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return v
}

// DecodeTask decodes what AppendTask appended.
func DecodeTask(b []byte) (t Task, err error) {
	d := NewDecoder("Task", b)
	t.decode(&d)
	return t, d.Err()
}

// Task is the current field as a task.
func (d *Decoder) Task() (t Task) {
	s := d.Sub("Task")
	t.decode(&s)
	d.Fail(s.Err())
	return t
}

func (t *Task) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			t.Run = Index(d.Uvarint())
		case 2:
			t.Step = StepNumber(d.Uvarint())
		case 3:
			t.Activity = d.Text()
		case 4:
			t.Input = d.Payload()
		case 5:
			t.Headers = append(t.Headers, d.header())
		case 6:
			t.Traceparent = d.Text()
		case 7:
			t.Timeout = time.Duration(d.Varint())
		case 8:
			t.Deadline = d.Time()
		case 9:
			t.Heartbeat = time.Duration(d.Varint())
		case 10:
			t.Retry = d.retry()
		default:
			t.decodeProgress(d)
		}
	}
}

// decodeProgress decodes what changes from attempt to attempt.
func (t *Task) decodeProgress(d *Decoder) {
	switch d.Field() {
	case 11:
		t.Attempt = d.Uint32()
	case 12:
		t.Due = d.Time()
	case 13:
		t.Asked = d.Time()
	case 14:
		t.Detail = d.Payload()
	case 15:
		t.Err = d.ErrorValue()
	case 16:
		t.Silent = d.Bool()
	case 17:
		t.Handler = d.Text()
	default:
		d.Unknown()
	}
}

func (d *Decoder) retry() (r Retry) {
	s := d.Sub("Retry")
	for s.Next() {
		switch s.Field() {
		case 1:
			r.First = time.Duration(s.Varint())
		case 2:
			r.Max = time.Duration(s.Varint())
		case 3:
			r.FactorPercent = s.Uint32()
		case 4:
			r.Attempts = s.Uint32()
		case 5:
			r.Never = append(r.Never, s.Text())
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return r
}

func (d *Decoder) taskName() (n TaskName) {
	s := d.Sub("TaskName")
	for s.Next() {
		switch s.Field() {
		case 1:
			n.Run = Index(s.Uvarint())
		case 2:
			n.Step = StepNumber(s.Uvarint())
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return n
}
