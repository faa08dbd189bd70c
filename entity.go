package holdfast

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/holdfast-io/holdfast/client"
	"github.com/holdfast-io/holdfast/internal/form"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// listPage is how many keys List asks for at once: 1,000 keys of 64 bytes are
// 64 KiB, one comfortable answer.
const listPage = 1000

// Ref names one durable object: its kind and its key.
type Ref struct{ Kind, Key string }

// affinityDeclaration is one NewAffinity.
type affinityDeclaration struct{ name, at string }

// kindDeclaration is what NewEntity declares. Handles share it by pointer.
type kindDeclaration struct {
	contract
	name     string
	form     msg.Form
	at       string // file:line of the declaration
	affinity *affinityDeclaration
	plan     *form.Plan
	newState func(k *kindDeclaration, options any) any // makes a *stateCodec[S]

	mu       sync.Mutex
	handlers []*handlerDeclaration
	states   []*stateDeclaration // of a machine
}

// affinityName gives the key space; empty if the kind has one of its own.
func (k *kindDeclaration) affinityName() string {
	if k.affinity == nil {
		return ""
	}
	return k.affinity.name
}

func (k *kindDeclaration) declared() []*handlerDeclaration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*handlerDeclaration(nil), k.handlers...)
}

// handlerDeclaration is what NewUpdate and NewRead declare.
type handlerDeclaration struct {
	contract
	kind   *kindDeclaration
	name   string
	at     string
	mode   msg.Mode
	input  shape
	output shape
}

func newHandler(k *kindDeclaration, mode msg.Mode, name, at string, in, out reflect.Type, opts []HandleOption) *handlerDeclaration {
	if k == nil { // the zero Entity: Validate says so
		k = &kindDeclaration{at: at}
	}
	c := newContract(opts)
	h := &handlerDeclaration{contract: c, kind: k, name: name, at: at, mode: mode}
	h.input, h.output = newShape(in, c.codec), newShape(out, c.codec)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.handlers = append(k.handlers, h)
	return h
}

func (h *handlerDeclaration) String() string {
	if h.mode == msg.ModeWorkflow {
		return h.kind.name
	}
	if h.kind.name == "" { // holdfasttest runs the function alone
		return h.name
	}
	return h.kind.name + "/" + h.name
}

// word is what people call the handler's mode.
func (h *handlerDeclaration) word() string {
	if h.kind.form == msg.FormMachine {
		return "message"
	}
	return [...]string{msg.ModeUpdate: "update", msg.ModeRead: "read", msg.ModeWorkflow: "workflow",
		msg.ModeSignal: "signal", msg.ModeQuery: "query", msg.ModeEvent: "event"}[h.mode]
}

// request begins a request to the handler; the input cannot be encoded if err
// is not nil.
func (h *handlerDeclaration) request(key string, input any) (client.Request, error) {
	payload, err := h.input.encode(input)
	if err != nil {
		err = fmt.Errorf("encode the input of %v, a %v: %w", h, h.input.value, err)
	}
	return client.Request{
		Kind: h.kind.name, Affinity: h.kind.affinityName(), Key: key, Handler: h.name,
		Body: payload.Body, ContentType: payload.ContentType,
	}, err
}

// call makes a request, waits for its answer and decodes it.
func (h *handlerDeclaration) call(c Caller, op client.Operation, key string, input, output any, opts []CallOption) error {
	r, err := h.request(key, input)
	if err != nil {
		return err
	}
	r.Operation = op
	if len(opts) > 0 {
		r = withOptions(r, opts)
	}
	body, err := c.canWait(r)
	if err != nil {
		return err
	}
	return h.answer(body, output)
}

// withOptions is apart so that a call without any, which is most, allocates no
// request.
func withOptions(r client.Request, opts []CallOption) client.Request {
	for _, o := range opts {
		o.forCall(&r)
	}
	return r
}

func (h *handlerDeclaration) answer(body []byte, output any) error {
	if h.output.void {
		return nil
	}
	payload := msg.Payload{Body: body}
	if h.output.codec != nil {
		payload.ContentType = h.output.codec.ContentType()
	}
	if err := h.output.decode(payload, output); err != nil {
		return fmt.Errorf("decode the answer of %v as %v: %w", h, h.output.value, err)
	}
	return nil
}

// submit hands a request to the handler over from outside.
func (h *handlerDeclaration) submit(c *ClientContext, key string, input any, opts []SendOption) (client.Reply, error) {
	r, err := h.request(key, input)
	r.Operation, r.OneWay = client.Submit, true
	return submit(c, r, err, opts)
}

// submit hands a request over from outside, unless it could not be made.
func submit(c *ClientContext, r client.Request, err error, opts []SendOption) (client.Reply, error) {
	if err != nil {
		return client.Reply{}, err
	}
	for _, o := range opts {
		o.forSend(&r)
	}
	return c.invoke(r)
}

// position gives the file:line of the caller of the function that calls it.
func position() string {
	_, file, line, ok := runtime.Caller(2)
	if !ok {
		return "unknown position"
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// Affinity is a key space. Kinds in one affinity that have the same key share
// a partition and a lock.
type Affinity[K ~string] struct{ declaration *affinityDeclaration }

// NewAffinity declares a key space whose keys have type K.
func NewAffinity[K ~string](name string) Affinity[K] {
	return Affinity[K]{&affinityDeclaration{name: name, at: position()}}
}

// Ref names a key of the affinity, whether or not an entity exists there.
func (s Affinity[K]) Ref(key K) Ref { return Ref{Kind: s.declaration.name, Key: string(key)} }

// Entity declares a kind of durable object with state S and key K. A key is 1
// to 1,024 bytes of UTF-8, but not "." or "..".
type Entity[K ~string, S any] struct{ objects[K] }

// objects is what entities and machines have in common: a kind whose objects
// are found by keys.
type objects[K ~string] struct{ declaration *kindDeclaration }

// NewEntity declares a kind with string keys and an affinity of its own.
func NewEntity[S any](kind string, opts ...HandleOption) Entity[string, S] {
	return Entity[string, S]{objects[string]{newKind[S](kind, position(), opts)}}
}

// NewEntityIn declares a kind in an affinity: it has the affinity's typed keys,
// and shares partition and lock with the other kinds there.
func NewEntityIn[S any, K ~string](in Affinity[K], kind string, opts ...HandleOption) Entity[K, S] {
	k := newKind[S](kind, position(), opts)
	k.placeIn(in.declaration)
	return Entity[K, S]{objects[K]{k}}
}

// placeIn puts a kind into an affinity.
func (k *kindDeclaration) placeIn(a *affinityDeclaration) {
	if k.affinity = a; a == nil { // the zero Affinity: Validate refuses its empty name
		k.affinity = &affinityDeclaration{at: k.at}
	}
}

func newKind[S any](name, at string, opts []HandleOption) *kindDeclaration {
	c := newContract(opts)
	return &kindDeclaration{
		contract: c, name: name, at: at,
		plan:     form.PlanState(reflect.TypeFor[S](), c.codec != nil, storedElement),
		newState: func(k *kindDeclaration, options any) any { return newStateCodec[S](k, options) },
	}
}

// Ref names one entity.
func (e objects[K]) Ref(key K) Ref { return Ref{Kind: e.declaration.name, Key: string(key)} }

// Key gives the typed key of a turn.
func (e objects[K]) Key(ctx interface{ Key() string }) K { return K(ctx.Key()) }

// ask makes a request about the entity itself and decodes its JSON answer.
func (e objects[K]) ask(c Caller, op client.Operation, key K, into any) error {
	d := e.declaration
	body, err := c.canWait(client.Request{Operation: op, Kind: d.name, Affinity: d.affinityName(), Key: string(key)})
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode the answer to %s of %s/%s: %w", op, d.name, key, err)
	}
	return nil
}

// Exists asks whether the entity exists, without creating it.
func (e objects[K]) Exists(c Caller, key K) (exists bool, err error) {
	err = e.ask(c, client.Exists, key, &exists)
	return exists, err
}

// Delete removes the entity with its state and reminders, in a turn of its own.
// Inputs that wait behind it find a fresh entity. Deleting what does not exist
// is no error.
func (e objects[K]) Delete(c Caller, key K) error { return e.ask(c, client.Delete, key, nil) }

// Reminder describes a reminder that is set.
type Reminder struct {
	Name    string
	Handler string
	Due     time.Time     // the next firing
	Every   time.Duration // 0 if it does not repeat by a period
	Cron    string        // empty if it does not repeat by the calendar
}

// Reminders lists the reminders that are set on the entity.
func (e objects[K]) Reminders(c Caller, key K) ([]Reminder, error) {
	var answer struct {
		Reminders []struct {
			Name, Handler string
			Due           time.Time
			Every, Cron   string
		}
	}
	if err := e.ask(c, client.Reminders, key, &answer); err != nil {
		return nil, err
	}
	var list []Reminder
	for _, r := range answer.Reminders {
		reminder := Reminder{Name: r.Name, Handler: r.Handler, Due: r.Due, Cron: r.Cron}
		if r.Every != "" {
			period, err := time.ParseDuration(r.Every)
			if err != nil {
				return nil, fmt.Errorf("period of reminder %s of %s/%s: %w", r.Name, e.declaration.name, key, err)
			}
			reminder.Every = period
		}
		list = append(list, reminder)
	}
	return list, nil
}

// List goes through the keys after the given one; the zero key is before all.
// It asks page by page: what is created or deleted meanwhile may be missed or
// be there. An error ends it.
func (e objects[K]) List(c *ClientContext, after K) iter.Seq2[K, error] {
	return func(yield func(K, error) bool) {
		d, cursor := e.declaration, string(after)
		for {
			var page struct {
				Entities []string
				Next     string
			}
			r := client.Request{Operation: client.List, Kind: d.name, Affinity: d.affinityName(), After: cursor, Limit: listPage}
			body, err := c.canWait(r)
			if err == nil {
				err = json.Unmarshal(body, &page)
			}
			if err != nil {
				yield("", fmt.Errorf("list %s after %q: %w", d.name, cursor, err))
				return
			}
			for _, key := range page.Entities {
				if !yield(K(key), nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			cursor = page.Next
		}
	}
}

// Inspect gives the committed state, its maps and lists included, and the index
// of the last change, for operators and tests. Fields that are not stored are
// zero. ErrNotFound if the entity does not exist.
func (e Entity[K, S]) Inspect(c *ClientContext, key K) (s S, version uint64, err error) {
	stored, version, err := e.inspect(c, key)
	if err != nil {
		return s, 0, err
	}
	codec := newStateCodec[S](e.declaration, nil)
	if err = codec.decodeInspected(stored, &s); err != nil {
		err = fmt.Errorf("decode the state of %s/%s as %T: %w", e.declaration.name, key, s, err)
	}
	return s, version, err
}

func (e objects[K]) inspect(c *ClientContext, key K) (stored json.RawMessage, version uint64, err error) {
	var answer struct {
		Version uint64
		State   json.RawMessage
	}
	err = e.ask(c, client.Inspect, key, &answer)
	return answer.State, answer.Version, err
}

// EntityOptions is the implementation side of a kind. The zero value is good.
type EntityOptions[S any] struct {
	// Initial makes the state of an entity that does not exist yet; without it
	// that is the zero value. It must be pure: a read calls it and throws the
	// result away.
	Initial func(key string) S

	// OnCreate makes that state where it takes more than a function: it may run
	// activities and wait. It is durable, and runs once, before the first update,
	// and whoever wants the entity waits; an error is the answer to who wanted it
	// first, and the next one tries again. A read of an entity that does not exist
	// is ErrNotFound. It excludes Initial.
	OnCreate func(ctx *InitContext) (S, error)

	// Strict kinds are created only by updates declared with Creates; every
	// other use of a missing entity is ErrNotFound.
	Strict bool

	// IdleTTL deletes an entity that had no turn for so long; 0 is never.
	IdleTTL time.Duration

	// StateBytesMax bounds the encoded state, without its maps and lists; 0 is
	// 1 MiB. A turn that would exceed it fails with ErrTooLarge.
	StateBytesMax int

	// Version is the version of the type S. Counting up says that states of
	// older versions have to go through Migrate first.
	Version int

	// Migrate reads the stored form of an older version. An error parks the
	// entity, visibly, until there is code that can read it.
	Migrate func(version int, state []byte) (S, error)

	// Activate rebuilds the fields that are tagged `holdfast:"volatile"`, before
	// each turn. An error parks the entity.
	Activate func(s *S) error
}

// kindOptions is the part that Options makes, without its type parameter.
type kindOptions struct {
	declaration   *kindDeclaration
	at            string
	value         any // EntityOptions[S]
	strict        bool
	idleTTL       time.Duration
	stateBytesMax int
	version       int
	migrates      bool
	initial       bool // there is Initial
	initialised   bool // there is OnCreate
}

// Options is the part that gives a kind its options.
func (e Entity[K, S]) Options(o EntityOptions[S]) Part {
	return newKindOptions(e.declaration, position(), o)
}

func newKindOptions[S any](k *kindDeclaration, at string, o EntityOptions[S]) *kindOptions {
	return &kindOptions{
		declaration: k, at: at, value: o,
		strict: o.Strict, idleTTL: o.IdleTTL, stateBytesMax: o.StateBytesMax,
		version: o.Version, migrates: o.Migrate != nil,
		initial: o.Initial != nil, initialised: o.OnCreate != nil,
	}
}

func (o *kindOptions) addTo(a *App) { a.options = appendNew(a.options, o) }
