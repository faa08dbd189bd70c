package msg

import (
	"fmt"
	"math"
	"time"
)

// This file is the inverse of encode.go. What is decoded shares no memory with
// the bytes it came from.

// DecodeRecord decodes what AppendRecord appended.
func DecodeRecord(b []byte) (*Record, error) {
	d := NewDecoder("Record", b)
	r := new(Record)
	for d.Next() {
		r.decodeField(&d)
	}
	if d.Err() != nil {
		return nil, d.Err()
	}
	return r, nil
}

func (r *Record) decodeField(d *Decoder) {
	switch d.Field() {
	case 1:
		r.Kind = RecordKind(d.Uint8())
	case 2:
		r.Partition = Partition(d.Uint16())
	case 3:
		r.Index = Index(d.Uvarint())
	case 4:
		r.Time = d.Time()
	case 5:
		r.Instance = d.Ref()
	case 6:
		r.Consumed = d.MessageIDs(r.Consumed)
	case 7:
		r.Accepted = d.Message()
	case 8:
		r.Finished = DecodePacked(d, r.Finished)
	case 9:
		r.Changes = append(r.Changes, d.Change())
	case 10:
		r.Outbox = append(r.Outbox, d.Message())
	case 11:
		r.Acked = d.MessageIDs(r.Acked)
	case 12:
		r.Remind = append(r.Remind, d.Reminder())
	case 13:
		r.Forget = append(r.Forget, d.Text())
	case 14:
		r.Answers = append(r.Answers, d.Answer())
	case 15:
		r.Attempts = append(r.Attempts, d.attemptCount())
	default:
		r.decodeRareField(d)
	}
}

func (r *Record) decodeRareField(d *Decoder) {
	switch d.Field() {
	case 16:
		r.DeadLetters = append(r.DeadLetters, d.DeadLetter())
	case 17:
		r.Discarded = append(r.Discarded, d.Fixed16())
	case 18:
		r.Pruned = Index(d.Uvarint())
	case 19:
		r.Kinds = append(r.Kinds, d.KindRule())
	case 20:
		r.Epoch = Epoch(d.Uvarint())
	case 21:
		r.CodeVersion = d.Text()
	case 32:
		r.Workflow = d.Workflow()
	case 33:
		r.Tasks = append(r.Tasks, d.Task())
	case 34:
		r.TasksEnded = append(r.TasksEnded, d.taskName())
	case 35:
		r.Locks = append(r.Locks, d.lockChange())
	case 36:
		r.Prepared = d.Prepared()
	case 37:
		r.Decided = d.Fixed16()
	default:
		d.Unknown()
	}
}

// PartitionOfRecord is the partition of a record, without the rest of it.
func PartitionOfRecord(b []byte) (Partition, error) {
	d := NewDecoder("Record", b)
	for d.Next() && d.Field() <= 2 {
		if d.Field() == 2 {
			p := Partition(d.Uint16())
			return p, d.Err()
		}
	}
	return 0, d.Err()
}

// DecodeMessage decodes what AppendMessage appended.
func DecodeMessage(b []byte) (*Message, error) {
	d := NewDecoder("Message", b)
	m := new(Message)
	m.decode(&d)
	if d.Err() != nil {
		return nil, d.Err()
	}
	return m, nil
}

// Message is the current field as a message.
func (d *Decoder) Message() *Message {
	m := new(Message)
	s := d.Sub("Message")
	m.decode(&s)
	d.Fail(s.Err())
	return m
}

func (m *Message) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			m.ID = d.messageID()
		case 2:
			m.Kind = MessageKind(d.Enum(uint8(MessageExists)))
		case 3:
			m.Sender = d.Ref()
		case 4:
			m.Target = d.Ref()
		case 5:
			m.Handler = d.Text()
		case 6:
			m.Payload = d.Payload()
		case 7:
			m.Headers = append(m.Headers, d.header())
		case 8:
			m.Traceparent = d.Text()
		case 9:
			m.Deadline = d.Time()
		case 10:
			m.NotBefore = d.Time()
		case 11:
			m.ReplyTo = d.replyTo()
		case 12:
			m.Err = d.ErrorValue()
		case 13:
			m.Identity = d.identity()
		case 14:
			m.Invocation = d.Fixed16()
		case 15:
			m.Reminder = d.Text()
		case 16:
			m.OnConflict = ConflictPolicy(d.Enum(uint8(ConflictReplace)))
		default:
			m.decodeLocks(d)
		}
	}
}

// decodeLocks decodes what messages have that have to do with locks or events.
func (m *Message) decodeLocks(d *Decoder) {
	switch d.Field() {
	case 17:
		m.Hold = d.holder()
	case 18:
		m.Chain = append(m.Chain, d.holder())
	case 19:
		m.Keys = append(m.Keys, d.lockKey())
	default:
		d.Unknown()
	}
}

// DecodeReminder decodes what AppendReminder appended.
func DecodeReminder(b []byte) (r Reminder, err error) {
	d := NewDecoder("Reminder", b)
	r.decode(&d)
	return r, d.Err()
}

// Reminder is the current field as a reminder.
func (d *Decoder) Reminder() (r Reminder) {
	s := d.Sub("Reminder")
	r.decode(&s)
	d.Fail(s.Err())
	return r
}

func (r *Reminder) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			r.Name = d.Text()
		case 2:
			r.Handler = d.Text()
		case 3:
			r.Payload = d.Payload()
		case 4:
			r.Due = d.Time()
		case 5:
			r.Schedule.Every = time.Duration(d.Varint())
		case 6:
			r.Schedule.Cron = d.Text()
		default:
			d.Unknown()
		}
	}
}

// DecodeAnswer decodes what AppendAnswer appended.
func DecodeAnswer(b []byte) (a Answer, err error) {
	d := NewDecoder("Answer", b)
	a.decode(&d)
	return a, d.Err()
}

// Answer is the current field as an answer.
func (d *Decoder) Answer() (a Answer) {
	s := d.Sub("Answer")
	a.decode(&s)
	d.Fail(s.Err())
	return a
}

func (a *Answer) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			a.Invocation = d.Fixed16()
		case 2:
			a.Status = Status(d.Enum(uint8(StatusFailed)))
		case 3:
			a.Payload = d.Payload()
		case 4:
			a.Err = d.ErrorValue()
		case 5:
			a.Session = d.Fixed16()
		case 6:
			a.SessionNumber = d.Uvarint()
		case 7:
			a.Idempotency = d.Fixed16()
		case 8:
			a.Body = d.Fixed16()
		case 9:
			a.Submitted = d.Bool()
		default:
			d.Unknown()
		}
	}
}

// DecodeDeadLetter decodes what AppendDeadLetter appended.
func DecodeDeadLetter(b []byte) (l DeadLetter, err error) {
	d := NewDecoder("DeadLetter", b)
	l.decode(&d)
	return l, d.Err()
}

// DeadLetter is the current field as a dead letter.
func (d *Decoder) DeadLetter() (l DeadLetter) {
	s := d.Sub("DeadLetter")
	l.decode(&s)
	d.Fail(s.Err())
	return l
}

func (l *DeadLetter) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			l.ID = d.Fixed16()
		case 2:
			l.Message = *d.Message()
		case 3:
			l.Reason = d.Text()
		case 4:
			l.Time = d.Time()
		case 5:
			l.State = d.Payload()
		default:
			d.Unknown()
		}
	}
}

// DecodeParked decodes what AppendParked appended.
func DecodeParked(b []byte) (p Parked, err error) {
	d := NewDecoder("Parked", b)
	p.decode(&d)
	return p, d.Err()
}

// Parked is the current field as a description of a parked instance.
func (d *Decoder) Parked() (p Parked) {
	s := d.Sub("Parked")
	p.decode(&s)
	d.Fail(s.Err())
	return p
}

func (p *Parked) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			p.Target = d.Ref()
		case 2:
			p.Reason = d.Text()
		case 3:
			p.Since = d.Time()
		case 4:
			p.Waiting = d.integer()
		default:
			d.Unknown()
		}
	}
}

// DecodeKindRule decodes what AppendKindRule appended.
func DecodeKindRule(b []byte) (k KindRule, err error) {
	d := NewDecoder("KindRule", b)
	k.decode(&d)
	return k, d.Err()
}

// KindRule is the current field as an entry of the kind table.
func (d *Decoder) KindRule() (k KindRule) {
	s := d.Sub("KindRule")
	k.decode(&s)
	d.Fail(s.Err())
	return k
}

func (k *KindRule) decode(d *Decoder) {
	for d.Next() {
		switch d.Field() {
		case 1:
			k.Kind = d.Text()
		case 2:
			k.Affinity = d.Text()
		case 3:
			k.HashKind = d.Uint32()
		case 4:
			k.Partition = d.Uint32()
		case 5:
			k.Form = Form(d.Enum(uint8(FormMachine)))
		default:
			d.Unknown()
		}
	}
}

// Change is the current field as a change.
func (d *Decoder) Change() (c Change) {
	s := d.Sub("Change")
	for s.Next() {
		switch s.Field() {
		case 1:
			c.Kind = ChangeKind(s.Enum(uint8(ChangeDelete)))
		case 2:
			c.Field = s.Text()
		case 3:
			c.Key = s.Text()
		case 4:
			c.Value = s.Bytes()
		case 5:
			c.ContentType = s.Text()
		case 6:
			c.StateVersion = s.Uint32()
		case 7:
			c.Base = Index(s.Uvarint())
		case 8:
			c.Offset = s.Uint32()
		case 9:
			c.Remove = s.Uint32()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return c
}

// Ref is the current field as a ref.
func (d *Decoder) Ref() (r Ref) {
	s := d.Sub("Ref")
	for s.Next() {
		switch s.Field() {
		case 1:
			r.Namespace = s.Text()
		case 2:
			r.Kind = s.Text()
		case 3:
			r.Key = s.Text()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return r
}

// Payload is the current field as a payload.
func (d *Decoder) Payload() (p Payload) {
	s := d.Sub("Payload")
	for s.Next() {
		switch s.Field() {
		case 1:
			p.ContentType = s.Text()
		case 2:
			p.Body = s.Bytes()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return p
}

// ErrorValue is the current field as an error. Err is the error of the walk.
func (d *Decoder) ErrorValue() *Error {
	e := new(Error)
	s := d.Sub("Error")
	for s.Next() {
		switch s.Field() {
		case 1:
			e.Code = s.Text()
		case 2:
			e.Class = Class(s.Uint8())
		case 3:
			e.Message = s.Text()
		case 4:
			e.Detail = s.Bytes()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return e
}

// MessageIDs appends the current field, one element of a list that
// AppendMessageIDsField appended, to list.
func (d *Decoder) MessageIDs(list []MessageID) []MessageID {
	var id MessageID
	var steps []byte
	s := d.Sub("MessageIDs")
	for s.Next() {
		switch s.Field() {
		case 1:
			id.Source = Partition(s.Uint16())
		case 2:
			id.Destination = Partition(s.Uint16())
		case 3:
			id.Number = Number(s.Uvarint())
		case 4:
			steps = s.View()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return d.stepMessageIDs(list, id, steps)
}

// stepMessageIDs appends id, and those that come after it by steps.
func (d *Decoder) stepMessageIDs(list []MessageID, id MessageID, steps []byte) []MessageID {
	if list == nil {
		list = make([]MessageID, 0, 1+countVarints(steps))
	}
	list = append(list, id)
	s := NewDecoder("MessageIDs.steps", steps)
	for len(s.rest) > 0 && s.err == nil {
		if step, ok := s.varint(); ok {
			id.Number += Number(unzigzag(step))
			list = append(list, id)
		}
	}
	d.Fail(s.err)
	return list
}

func (d *Decoder) messageID() (id MessageID) {
	s := d.Sub("MessageID")
	for s.Next() {
		switch s.Field() {
		case 1:
			id.Source = Partition(s.Uint16())
		case 2:
			id.Destination = Partition(s.Uint16())
		case 3:
			id.Number = Number(s.Uvarint())
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return id
}

func (d *Decoder) attemptCount() (a AttemptCount) {
	s := d.Sub("AttemptCount")
	for s.Next() {
		switch s.Field() {
		case 1:
			a.Input = s.Fixed16()
		case 2:
			a.Count = s.Uint32()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return a
}

func (d *Decoder) header() (h Header) {
	s := d.Sub("Header")
	for s.Next() {
		switch s.Field() {
		case 1:
			h.Name = s.Text()
		case 2:
			h.Value = s.Text()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return h
}

func (d *Decoder) replyTo() (r ReplyTo) {
	s := d.Sub("ReplyTo")
	for s.Next() {
		switch s.Field() {
		case 1:
			r.Origin = Partition(s.Uint16())
		case 2:
			r.Invocation = s.Fixed16()
		case 3:
			r.Target = s.Ref()
		case 4:
			r.Run = Index(s.Uvarint())
		case 5:
			r.Step = StepNumber(s.Uvarint())
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return r
}

func (d *Decoder) identity() (i Identity) {
	s := d.Sub("Identity")
	for s.Next() {
		switch s.Field() {
		case 1:
			i.IdempotencyKey = s.Text()
		case 2:
			i.Session = s.Fixed16()
		case 3:
			i.SessionNumber = s.Uvarint()
		default:
			s.Unknown()
		}
	}
	d.Fail(s.Err())
	return i
}

// integer is the current field as an int, which may have 32 bits.
func (d *Decoder) integer() int {
	v := d.Varint()
	if v < math.MinInt || v > math.MaxInt {
		d.Fail(fmt.Errorf("%w: %d does not fit into an int", ErrMalformed, v))
		return 0
	}
	return int(v)
}
