package engine

import (
	"fmt"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// Load takes a slice of a checkpoint, in the order in which they were taken,
// into an empty partition.
func (p *Partition) Load(slice []byte) error {
	d := msg.NewDecoder("slice", slice)
	for d.Next() {
		switch d.Field() {
		case sliceHeader:
			p.loadHeader(&d)
		case sliceConsumed:
			p.loadConsumed(&d)
		case sliceOutbox:
			p.loadOutbox(&d)
		case sliceMessage:
			p.loadMessage(&d)
		case sliceRule:
			rule := d.KindRule()
			p.rules.Set(rule.Kind, rule)
		case sliceAttempt:
			p.loadAttempt(&d)
		case sliceDeadLetter:
			p.bury(d.DeadLetter())
		case sliceAnswer:
			p.loadAnswer(&d)
		case sliceInstance:
			p.loading = p.loadInstance(&d)
		case sliceEntry, sliceItem:
			p.loadEntry(&d, d.Field())
		case sliceAccepted:
			p.loadAccepted(&d)
		case sliceTask:
			p.loadTask(&d)
		default:
			d.Unknown()
		}
	}
	if err := d.Err(); err != nil {
		return fmt.Errorf("partition %d: checkpoint: %w", p.config.Partition, err)
	}
	return nil
}

func (p *Partition) loadHeader(outer *msg.Decoder) {
	d := outer.Sub("header")
	for d.Next() {
		switch d.Field() {
		case 1:
			if n := d.Uint16(); n != uint16(p.config.Partition) {
				d.Fail(fmt.Errorf("it is of partition %d", n))
			}
		case 2:
			p.index = msg.Index(d.Uvarint())
		case 3:
			p.time = d.Time()
		case 4:
			p.epoch = msg.Epoch(d.Uvarint())
		case 5:
			if n := d.Uvarint(); n != uint64(p.config.Partitions) {
				d.Fail(fmt.Errorf("it was taken with %d partitions, this program has %d", n, p.config.Partitions))
			}
		default:
			d.Unknown()
		}
	}
	outer.Fail(d.Err())
}

// channelOf is the number of another partition, checked.
func (p *Partition) channelOf(d *msg.Decoder) int {
	n := int(d.Uint16())
	if n >= p.config.Partitions {
		d.Fail(fmt.Errorf("there is no partition %d", n))
		return 0
	}
	return n
}

func (p *Partition) loadConsumed(outer *msg.Decoder) {
	var loaded consumed
	source := 0
	d := outer.Sub("consumed")
	for d.Next() {
		switch d.Field() {
		case 1:
			source = p.channelOf(&d)
		case 2:
			loaded.low = msg.Number(d.Uvarint())
			loaded.high = loaded.low
		case 3:
			for _, n := range msg.DecodePacked(&d, []msg.Number(nil)) {
				if !loaded.inWindow(n) {
					d.Fail(fmt.Errorf("number %d is outside the window above %d", n, loaded.low))
					break
				}
				loaded.add(n)
			}
		default:
			d.Unknown()
		}
	}
	p.consumed[source] = loaded
	outer.Fail(d.Err())
}

func (p *Partition) loadOutbox(outer *msg.Decoder) {
	var loaded outbox
	destination := 0
	d := outer.Sub("outbox")
	for d.Next() {
		switch d.Field() {
		case 1:
			destination = p.channelOf(&d)
		case 2:
			loaded.base = msg.Number(d.Uvarint())
			loaded.delivered = loaded.base
		case 3:
			loaded.next = msg.Number(d.Uvarint())
		default:
			d.Unknown()
		}
	}
	p.outboxes[destination] = loaded
	outer.Fail(d.Err())
}

func (p *Partition) loadMessage(d *msg.Decoder) {
	m := d.Message()
	if d.Err() != nil {
		return
	}
	if int(m.ID.Destination) >= p.config.Partitions || m.ID.Source != p.config.Partition {
		d.Fail(fmt.Errorf("message from %d to %d", m.ID.Source, m.ID.Destination))
		return
	}
	box := &p.outboxes[m.ID.Destination]
	if m.ID.Number > box.next {
		d.Fail(fmt.Errorf("message %d to %d after %d", m.ID.Number, m.ID.Destination, box.next))
		return
	}
	p.outboxBytes -= box.bytes
	box.put(m)
	p.outboxBytes += box.bytes
}

func (p *Partition) loadAttempt(outer *msg.Decoder) {
	var f string
	var loaded attempt
	d := outer.Sub("attempt")
	for d.Next() {
		switch d.Field() {
		case 1:
			f = string(d.View())
		case 2:
			loaded.count = d.Uint32()
		case 3:
			loaded.time = d.Time()
		default:
			d.Unknown()
		}
	}
	if len(f) != len(msg.Fingerprint{}) {
		d.Fail(fmt.Errorf("a fingerprint has %d bytes", len(f)))
	}
	p.attempts.Set(f, loaded)
	outer.Fail(d.Err())
}

func (p *Partition) loadAnswer(outer *msg.Decoder) {
	var a msg.Answer
	var index msg.Index
	var at msg.Time
	d := outer.Sub("answer entry")
	for d.Next() {
		switch d.Field() {
		case 1:
			a = d.Answer()
		case 2:
			index = msg.Index(d.Uvarint())
		case 3:
			at = d.Time()
		default:
			d.Unknown()
		}
	}
	p.answers.put(a, index, at)
	outer.Fail(d.Err())
}

func (p *Partition) loadInstance(outer *msg.Decoder) *instance {
	i := &instance{}
	d := outer.Sub("instance")
	for d.Next() {
		switch d.Field() {
		case 1:
			i.ref = d.Ref()
		case 2:
			i.index = msg.Index(d.Uvarint())
		case 3:
			i.version = msg.Index(d.Uvarint())
		case 4:
			i.touched = d.Time()
		case 5:
			i.exists = d.Bool()
		case 6:
			i.stateVersion = d.Uint32()
		case 7:
			i.root = d.Payload()
		case 8:
			i.rootIndex = msg.Index(d.Uvarint())
		case 9:
			i.own().remind(d.Reminder())
		case 10:
			p.setWorkflow(i, d.Workflow())
		case 11:
			i.own().locks = append(i.owned.locks, d.LockHolder())
		case 12:
			i.own().prepared = d.Prepared()
		default:
			d.Unknown()
		}
	}
	outer.Fail(d.Err())
	if i.kind = p.kinds[i.ref.Kind]; i.kind != nil {
		i.ref.Kind = i.kind.Name
	}
	p.instances[i.ref] = i
	p.order.Load(i)
	p.listLock(i)
	p.countPrepared(false, i.prepared() != nil)
	if i.exists {
		p.stats.Entities++
	}
	return i
}

func (p *Partition) loadAccepted(outer *msg.Decoder) {
	var id msg.Index
	var m *msg.Message
	d := outer.Sub("accepted message")
	for d.Next() {
		switch d.Field() {
		case 1:
			id = msg.Index(d.Uvarint())
		case 2:
			m = d.Message()
		default:
			d.Unknown()
		}
	}
	if p.loading == nil || m == nil {
		d.Fail(fmt.Errorf("there is no instance or no message"))
	}
	if outer.Fail(d.Err()); outer.Err() != nil {
		return
	}
	p.loading.own().accept(id, m)
	p.inboxBytes += messageBytes(m)
}

func (p *Partition) loadTask(d *msg.Decoder) {
	t := d.Task()
	if p.loading == nil {
		d.Fail(fmt.Errorf("task of activity %s before any instance", t.Activity))
		return
	}
	p.setTask(p.loading, t)
}

func (p *Partition) loadEntry(outer *msg.Decoder, kind msg.FieldNumber) {
	var field, key string
	var value []byte
	d := outer.Sub("entry")
	for d.Next() {
		switch d.Field() {
		case 1:
			field = d.Text()
		case 2:
			key = d.Text()
		case 3:
			value = d.Bytes()
		default:
			d.Unknown()
		}
	}
	outer.Fail(d.Err())
	i := p.loading
	if i == nil {
		outer.Fail(fmt.Errorf("entry of field %s before any instance", field))
		return
	}
	switch _, f := i.field(field); {
	case f != nil && f.List != (kind == sliceItem):
		outer.Fail(fmt.Errorf("field %s of %s is a map and a list", field, i.ref))
	case kind == sliceItem:
		f = i.listField(field)
		f.Items = append(f.Items, value)
	default:
		i.mapField(field).Entries.Set(key, value)
	}
}
