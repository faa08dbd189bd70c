package holdfast

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/holdfast-io/holdfast/internal/msg"
	"github.com/holdfast-io/holdfast/internal/program"
	"github.com/holdfast-io/holdfast/internal/workflow"
)

// Part is something an App is made of: a binding, an option, Parts, or another
// App.
type Part interface{ addTo(*App) }

// Parts groups parts, so that a package can export what it serves.
type Parts []Part

func (p Parts) addTo(a *App) {
	for _, part := range p {
		a.add(part)
	}
}

// App is a set of bindings under one name. It is immutable, and safe for
// concurrent use.
type App struct {
	name         string
	at           string
	bindings     []*handlerBinding
	machines     []*machineBinding
	activities   []*activityBinding
	events       []*eventBinding
	options      []*kindOptions
	interceptors []*interceptorPart
	versions     []*versionPart
	nilParts     int
}

// NewApp collects parts. It never fails; Validate reports every mistake at
// once.
func NewApp(name string, parts ...Part) *App {
	a := &App{name: name, at: position()}
	Parts(parts).addTo(a)
	return a
}

func (a *App) add(part Part) {
	if part == nil {
		a.nilParts++
		return
	}
	part.addTo(a)
}

// addTo makes the app a part of another one, which has the last word on name
// and version.
func (a *App) addTo(to *App) {
	for _, b := range a.bindings {
		b.addTo(to)
	}
	for _, m := range a.machines {
		m.addTo(to)
	}
	for _, b := range a.activities {
		b.addTo(to)
	}
	for _, b := range a.events {
		b.addTo(to)
	}
	for _, o := range a.options {
		o.addTo(to)
	}
	for _, i := range a.interceptors {
		i.addTo(to)
	}
	to.nilParts += a.nilParts
}

// Name is the app's name.
func (a *App) Name() string { return a.name }

type versionPart struct{ version, at string }

func (v *versionPart) addTo(a *App) { a.versions = appendNew(a.versions, v) }

// Version is the code version of the app, which the log records with every
// turn. The default is the revision that the build was made from.
func Version(v string) Part { return &versionPart{v, position()} }

type interceptorPart struct {
	fn interceptor
	at string
}

func (i *interceptorPart) addTo(a *App) { a.interceptors = appendNew(a.interceptors, i) }

// appendNew leaves out what is there already: two packages may share a part.
func appendNew[T comparable](list []T, part T) []T {
	if slices.Contains(list, part) {
		return list
	}
	return append(list, part)
}

// Intercept surrounds every turn of an entity and every attempt of an activity:
// logging, authorisation, tracing. The function calls next to run the handler,
// and may return another error than next did, which then is the outcome. What it puts into the context is there in
// ctx.Context. The first interceptor of an app is the outermost.
func Intercept(fn func(ctx context.Context, info InvocationInfo, next func(context.Context) error) error) Part {
	return &interceptorPart{fn, position()}
}

// handlerBinding joins a declaration and a function.
type handlerBinding struct {
	declaration *handlerDeclaration
	at          string
	unset       bool             // the function is nil
	workflow    *workflowOptions // of a workflow; prepare is of all others
	prepare     func(state any) func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome
}

func (b *handlerBinding) addTo(a *App) { a.bindings = appendNew(a.bindings, b) }

// servedKind is a kind that this app serves.
type servedKind struct {
	declaration  *kindDeclaration
	options      *kindOptions // nil: none
	stateVersion int
	bindings     []*handlerBinding
	handlers     map[string]*servedHandler // by name and alias
	reactions    []*eventBinding
	events       map[string]*servedHandler // by event
	activities   map[string]*activityBinding
	definition   *workflow.Definition // of a workflow, or of what creates an entity
}

// servedHandler is a bound handler, ready to run.
type servedHandler struct {
	name         string // kind/handler, for people
	declaration  *handlerDeclaration
	kind         *servedKind
	interceptors []interceptor
	run          func(*servedHandler, context.Context, *msg.Turn) *msg.Outcome
}

// served gives what the app serves, in the order in which it was added. Of what
// is there twice the first counts; Validate complains.
func (a *App) served() []*servedKind {
	var kinds []*servedKind
	of := map[*kindDeclaration]*servedKind{}
	get := func(d *kindDeclaration) *servedKind {
		k := of[d]
		if k == nil {
			k = &servedKind{declaration: d, handlers: map[string]*servedHandler{}}
			of[d] = k
			kinds = append(kinds, k)
		}
		return k
	}
	for _, o := range a.options {
		if k := get(o.declaration); k.options == nil {
			k.options, k.stateVersion = o, o.version
		}
	}
	bound := map[*handlerDeclaration]bool{}
	bindings := slices.Clip(a.bindings)
	for _, m := range a.machines {
		get(m.declaration)
		bindings = append(bindings, m.handlers()...)
	}
	for _, b := range bindings {
		k := get(b.declaration.kind)
		if !bound[b.declaration] {
			k.bindings = append(k.bindings, b)
		}
		bound[b.declaration] = true
	}
	for _, b := range a.events {
		k := get(b.kind)
		k.reactions = append(k.reactions, b)
	}
	return kinds
}

// Program gives the app the form in which package server runs it. It is meant
// for an app that Validate accepts.
func (a *App) Program() program.Program {
	p := &appProgram{kinds: map[string]*servedKind{}, activities: map[string]*activityBinding{}, runtime: workflow.New(workflow.Config{Logger: program.Logger})}
	p.description = program.Description{App: a.name, CodeVersion: a.codeVersion()}
	for _, i := range a.interceptors {
		p.interceptors = append(p.interceptors, i.fn)
	}
	for _, b := range a.activities {
		if d := b.declaration; p.activities[d.name] == nil {
			p.activities[d.name] = b
			p.description.Activities = append(p.description.Activities,
				program.Activity{Name: d.name, Doc: d.doc, Concurrency: b.options.Concurrency})
		}
	}
	for _, k := range a.served() {
		if k.declaration == nil || p.kinds[k.declaration.name] != nil {
			continue
		}
		k.activities = p.activities
		if k.form() == msg.FormWorkflow {
			k.definition = p.workflow(k)
			p.addSchedules(k.declaration.name, k.bindings[0].workflow.schedules)
		} else {
			k.prepare(p)
		}
		p.kinds[k.declaration.name] = k
		p.description.Kinds = append(p.description.Kinds, k.describe())
	}
	p.description.Events = a.describeEvents()
	slices.SortFunc(p.description.Events, func(x, y program.Event) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(p.description.Kinds, func(x, y msg.Kind) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(p.description.Activities, func(x, y program.Activity) int { return strings.Compare(x.Name, y.Name) })
	return p
}

func (a *App) codeVersion() string {
	if len(a.versions) > 0 {
		return a.versions[0].version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "+modified"
		}
	}
	if revision == "" {
		return "unknown"
	}
	return revision + modified
}

// prepare makes the kind's handlers ready to run.
func (k *servedKind) prepare(p *appProgram) {
	if k.declaration.newState == nil {
		return // made by no NewEntity
	}
	var options any
	if k.options != nil {
		options = k.options.value
	}
	state := k.declaration.newState(k.declaration, options)
	if k.initialised() {
		k.definition = p.initialiser(k, state.(initialiser))
	}
	for _, b := range k.bindings {
		d := b.declaration
		h := &servedHandler{
			name: d.String(), declaration: d, kind: k,
			interceptors: p.interceptors, run: b.prepare(state),
		}
		for _, name := range append([]string{d.name}, d.aliases...) {
			if k.handlers[name] == nil {
				k.handlers[name] = h
			}
		}
	}
	k.events = map[string]*servedHandler{}
	for _, b := range k.reactions {
		k.events[b.event.name] = &servedHandler{name: b.declaration.String(), declaration: b.declaration, kind: k,
			interceptors: p.interceptors, run: b.prepare(state)}
	}
}

// initialised says that entities of the kind are created by OnCreate.
func (k *servedKind) initialised() bool { return k.options != nil && k.options.initialised }

func (k *servedKind) describe() msg.Kind {
	d := k.declaration
	kind := msg.Kind{Name: d.name, Form: d.form, Affinity: d.affinityName(), Doc: d.doc, StateVersion: uint32(k.stateVersion)}
	handlers := make([]*handlerDeclaration, 0, len(k.bindings))
	if o := k.options; o != nil {
		kind.StateBytesMax, kind.IdleTTL, kind.Strict, kind.Initialised = o.stateBytesMax, o.idleTTL, o.strict, o.initialised
	}
	for _, b := range k.bindings {
		handlers = append(handlers, b.declaration)
		if b.workflow != nil { // its signals and queries are bound with it
			kind.Retention, kind.Tombstones, handlers = b.workflow.retain, b.workflow.tombstones, d.declared()
		}
	}
	for _, h := range handlers {
		kind.Handlers = append(kind.Handlers, msg.Handler{
			Name: h.name, Aliases: h.aliases, Mode: h.mode, Creates: h.creates, Doc: h.doc,
			Input: h.input.schema(), Output: h.output.schema(),
		})
	}
	slices.SortFunc(kind.Handlers, func(x, y msg.Handler) int { return strings.Compare(x.Name, y.Name) })
	return kind
}

// appProgram runs the turns of an app.
type appProgram struct {
	description  program.Description
	kinds        map[string]*servedKind
	activities   map[string]*activityBinding
	interceptors []interceptor
	runtime      *workflow.Runtime
	schedules    map[string]*boundSchedule // by key; nil: no workflow is served
}

var _ program.Program = (*appProgram)(nil)

func (p *appProgram) Describe() program.Description { return p.description }

func (p *appProgram) Turn(ctx context.Context, t *msg.Turn) *msg.Outcome {
	m := t.Message
	if m.Target.Kind == kindSchedule && p.schedules != nil {
		return p.scheduleTurn(t)
	}
	k := p.kinds[m.Target.Kind]
	if k == nil {
		return absent(t, "app "+p.description.App+" serves no kind "+m.Target.Kind)
	}
	switch {
	case k.form() == msg.FormWorkflow:
		return p.workflowTurn(ctx, k, t)
	case (t.Mode == msg.ModeWorkflow || t.Mode == msg.ModeQuery) && k.initialised():
		return p.initialise(ctx, k, t)
	}
	h := k.handlers[m.Handler]
	if t.Mode == msg.ModeEvent {
		h = k.events[m.Handler]
	}
	if h == nil {
		return absent(t, "kind "+m.Target.Kind+" has no handler "+m.Handler)
	}
	if t.Mode == msg.ModeRead && h.declaration.mode != msg.ModeRead {
		return &msg.Outcome{Run: t.Run, Err: msg.Errorf(msg.CodeInvalidArgument, msg.ClassInvalidArgument,
			"%s is an update; only a read can be asked for without changing anything", h.name)}
	}
	return h.run(h, ctx, t)
}

// Perform implements program.Program.
func (p *appProgram) Perform(ctx context.Context, t *msg.TaskRun, heartbeat func(msg.Payload)) *msg.TaskOutcome {
	b := p.activities[t.Task.Activity]
	if b == nil {
		return program.NotServed(t, "nothing in app "+p.description.App)
	}
	return p.perform(ctx, b, t, heartbeat)
}

// Close throws away the workflows that are kept in memory. The program can still
// be used.
func (p *appProgram) Close() error {
	p.runtime.Evict()
	return nil
}

// absent is a fault: the message waits for code that knows its handler.
func absent(t *msg.Turn, reason string) *msg.Outcome {
	return &msg.Outcome{Run: t.Run, Fault: reason + " in this version of the code"}
}
