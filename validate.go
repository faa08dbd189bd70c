package holdfast

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/holdfast-io/holdfast/internal/form"
	"github.com/holdfast-io/holdfast/internal/msg"
)

// reservedHandlers clash with the routes of the HTTP interface:
// …/{kind}/{key}/{handler}/send and …/{kind}/{key}/reminders.
var reservedHandlers = map[string]string{
	"send":      "…/{kind}/{key}/{handler}/send",
	"reminders": "…/{kind}/{key}/reminders",
}

// Validate reports every mistake of the app at once, each with the source line
// that made it: names that are bad or there twice, handlers of a served kind
// that are declared and not bound, types that would lose data, and options that
// contradict each other. Package server and holdfasttest call it.
func (a *App) Validate() error {
	v := &validation{app: a, kinds: map[string]*kindDeclaration{}, affinities: map[string]*affinityDeclaration{}}
	v.checkApp()
	v.checkActivities()
	v.checkEvents()
	for _, k := range a.served() {
		v.checkKind(k)
	}
	return errors.Join(v.mistakes...)
}

type validation struct {
	app        *App
	kinds      map[string]*kindDeclaration
	affinities map[string]*affinityDeclaration
	mistakes   []error
}

// mistake notes what is wrong at a source line.
func (v *validation) mistake(at, format string, args ...any) {
	v.mistakes = append(v.mistakes, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func (v *validation) checkApp() {
	a := v.app
	if err := msg.ValidName(a.name); err != nil {
		v.mistake(a.at, "app %q: %s", a.name, ruleOf(err))
	}
	if a.nilParts > 0 {
		v.mistake(a.at, "app %s: %d of its parts are nil", a.name, a.nilParts)
	}
	if len(a.bindings)+len(a.machines)+len(a.activities)+len(a.events) == 0 {
		v.mistake(a.at, "app %s serves nothing; give NewApp what Handle returns", a.name)
	}
	for i, version := range a.versions {
		switch {
		case version.version == "":
			v.mistake(version.at, "app %s: Version is empty; leave it out to use the build's revision", a.name)
		case i > 0:
			v.mistake(version.at, "app %s: Version is there twice, first at %s", a.name, a.versions[0].at)
		}
	}
	for _, i := range a.interceptors {
		if i.fn == nil {
			v.mistake(i.at, "app %s: Intercept was given nil", a.name)
		}
	}
}

// ruleOf gives the text of an error without its code.
func ruleOf(err error) string {
	var e *msg.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

func (v *validation) checkKind(k *servedKind) {
	d := k.declaration
	if d == nil || d.newState == nil && d.form == msg.FormEntity {
		v.checkUndeclared(k)
		return
	}
	if other := v.kinds[d.name]; other != nil {
		v.mistake(d.at, "kind %s is declared twice, first at %s; import that declaration, or choose another name", d.name, other.at)
	} else {
		v.kinds[d.name] = d
	}
	if err := msg.ValidName(d.name); err != nil {
		v.mistake(d.at, "kind %q: %s", d.name, ruleOf(err))
	}
	if d.plan != nil {
		for _, problem := range d.plan.Problems {
			v.mistake(d.at, "kind %s: state %s", d.name, problem)
		}
	}
	if d.creates || len(d.aliases) > 0 {
		v.mistake(d.at, "kind %s: Creates and Alias are options of handlers, not of entities and workflows", d.name)
	}
	v.checkAffinity(d)
	v.checkOptions(k)
	if d.form == msg.FormMachine {
		v.checkMachine(k)
	} else {
		v.checkBindings(k)
	}
	v.checkNames(k)
}

// form says what a kind is, also one that was not declared.
func (k *servedKind) form() msg.Form {
	if len(k.bindings) > 0 && k.bindings[0].workflow != nil {
		return msg.FormWorkflow
	}
	return msg.FormEntity
}

// checkUndeclared speaks about parts of an Entity that is a zero value.
func (v *validation) checkUndeclared(k *servedKind) {
	for _, m := range v.app.machines {
		if m.declaration == k.declaration {
			v.mistake(m.at, "states of an undeclared machine: its Machine is a zero value; declare it with NewMachine")
		}
	}
	cure := "its Entity is a zero value; declare it with NewEntity"
	if k.form() == msg.FormWorkflow {
		cure = "its Workflow is a zero value; declare it with NewWorkflow"
	}
	if k.options != nil {
		v.mistake(k.options.at, "options of an undeclared kind: %s", cure)
	}
	for _, b := range k.bindings {
		v.mistake(b.declaration.at, "%s %s of an undeclared kind: %s", b.declaration.word(), b.declaration.name, cure)
	}
}

func (v *validation) checkAffinity(d *kindDeclaration) {
	a := d.affinity
	if a == nil {
		return
	}
	if err := msg.ValidName(a.name); err != nil {
		v.mistake(a.at, "affinity %q: %s", a.name, ruleOf(err))
	}
	if other := v.affinities[a.name]; other != nil && other != a {
		v.mistake(a.at, "affinity %s is declared twice, first at %s; import that declaration, or choose another name", a.name, other.at)
		return
	}
	v.affinities[a.name] = a
}

func (v *validation) checkOptions(k *servedKind) {
	for _, o := range v.app.options {
		if o.declaration == k.declaration && o != k.options {
			v.mistake(o.at, "kind %s: its options are there twice, first at %s", k.declaration.name, k.options.at)
		}
	}
	o := k.options
	if o == nil {
		return
	}
	complain := func(format string, args ...any) {
		v.mistake(o.at, "kind %s: %s", k.declaration.name, fmt.Sprintf(format, args...))
	}
	switch {
	case o.version < 0 || o.version > math.MaxInt32:
		complain("Version is %d; count from 0", o.version)
	case o.migrates && o.version == 0:
		complain("Migrate without Version: there is no older version to read; set Version to 1 or more")
	case !o.migrates && o.version > 1:
		complain("Version is %d and there is no Migrate to read older versions", o.version)
	}
	if o.initial && o.initialised {
		complain("Initial and OnCreate both make the first state; leave one of them out")
	}
	if o.idleTTL < 0 {
		complain("IdleTTL is %v; 0 keeps entities for ever", o.idleTTL)
	}
	if o.stateBytesMax < 0 {
		complain("StateBytesMax is %d; 0 is the default", o.stateBytesMax)
	}
	if o.strict && k.declaration.form == msg.FormEntity && !creatable(k.declaration) {
		complain("Strict, but no update is declared with Creates(): no entity could ever come to be")
	}
}

func creatable(d *kindDeclaration) bool {
	for _, h := range d.declared() {
		if h.creates && h.mode == msg.ModeUpdate {
			return true
		}
	}
	return false
}

// checkBindings finds handlers that are bound twice, to nothing, or not at all.
func (v *validation) checkBindings(k *servedKind) {
	bound := map[*handlerDeclaration]*handlerBinding{}
	for _, b := range v.app.bindings {
		d := b.declaration
		if d.kind != k.declaration {
			continue
		}
		if first := bound[d]; first != nil {
			v.mistake(b.at, "%s %v is bound twice, first at %s", d.word(), d, first.at)
			continue
		}
		bound[d] = b
		if b.unset {
			v.mistake(b.at, "%s %v is bound to a nil function", d.word(), d)
		}
		if b.workflow != nil && (b.workflow.retain < 0 || b.workflow.retain > delayMax) {
			v.mistake(b.at, "workflow %v: Retain is %v; it is at most a hundred years, and 0 is the default", d, b.workflow.retain)
		}
		if b.workflow != nil {
			v.checkSchedules(d, b.workflow.schedules)
		}
	}
	for _, d := range k.declaration.declared() {
		if bound[d] == nil && d.mode != msg.ModeSignal && d.mode != msg.ModeQuery {
			v.mistake(d.at, "%s %v is declared and not bound; add to the app what its Handle(…) returns, or remove the declaration", d.word(), d)
		}
		v.checkHandler(d)
	}
}

func (v *validation) checkHandler(d *handlerDeclaration) {
	v.checkShapes(d.at, d.word()+" "+d.String(), &d.input, &d.output)
	if d.creates && d.kind.form == msg.FormWorkflow {
		v.mistake(d.at, "%s %v: Creates is an option of an entity's updates", d.word(), d)
	}
	if d.creates && d.mode == msg.ModeRead {
		v.mistake(d.at, "read %v is declared with Creates(), but a read changes nothing", d)
	}
}

// checkShapes finds types that JSON loses, and codecs that pretend to be JSON.
func (v *validation) checkShapes(at, name string, input, output *shape) {
	for i, shape := range []*shape{input, output} {
		if shape.codec != nil {
			continue
		}
		for _, problem := range form.Check(shape.value, storedElement) {
			v.mistake(at, "%s: %s %s", name, [...]string{"input", "output"}[i], problem)
		}
	}
	if c := input.codec; c != nil && isJSON(c.ContentType()) {
		v.mistake(at, "%s: the codec's content type is %q, which is reserved for JSON as Holdfast writes it", name, c.ContentType())
	}
}

// checkActivities finds activities that are bad, unbound or there twice.
func (v *validation) checkActivities() {
	first := map[string]*activityBinding{}
	for _, b := range v.app.activities {
		d := b.declaration
		if d.at == "" {
			v.mistake(b.at, "an undeclared activity is bound: its Activity is a zero value; declare it with NewActivity")
			continue
		}
		switch other := first[d.name]; {
		case other == nil:
			first[d.name] = b
		case other.declaration == d:
			v.mistake(b.at, "activity %s is bound twice, first at %s", d.name, other.at)
			continue
		default:
			v.mistake(d.at, "activity %s is declared twice, first at %s; import that declaration, or choose another name", d.name, other.declaration.at)
		}
		if err := msg.ValidName(d.name); err != nil {
			v.mistake(d.at, "activity %q: %s", d.name, ruleOf(err))
		}
		if b.unset {
			v.mistake(b.at, "activity %s is bound to a nil function", d.name)
		}
		if d.creates || len(d.aliases) > 0 {
			v.mistake(d.at, "activity %s: Creates and Alias are options of an entity's handlers", d.name)
		}
		for _, mistake := range b.options.Mistakes {
			v.mistake(b.at, "activity %s: %s", d.name, mistake)
		}
		v.checkShapes(d.at, "activity "+d.name, &d.input, &d.output)
	}
}

// checkNames finds names of handlers that are bad or there twice.
func (v *validation) checkNames(k *servedKind) {
	owner := map[string]*handlerDeclaration{}
	for _, d := range k.declaration.declared() {
		for _, name := range append([]string{d.name}, d.aliases...) {
			if err := msg.ValidName(name); err != nil {
				v.mistake(d.at, "%s %v: %s", d.word(), d, ruleOf(err))
				continue
			}
			if d.mode != msg.ModeWorkflow && d.kind.form == msg.FormWorkflow && strings.EqualFold(name, msg.HandlerRun) {
				v.mistake(d.at, "%s %v: %q is the workflow's function; choose another name", d.word(), d, name)
				continue
			}
			if route := reservedHandlers[strings.ToLower(name)]; route != "" {
				v.mistake(d.at, "%s %v: the name %q clashes with the route %s; choose another", d.word(), d, name, route)
			}
			if other := owner[name]; other != nil {
				v.mistake(d.at, "%s %v: the name %q is taken by the %s declared at %s", d.word(), d, name, other.word(), other.at)
				continue
			}
			owner[name] = d
		}
	}
}
