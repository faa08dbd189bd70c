package holdfast

import (
	"github.com/holdfast-io/holdfast/internal/msg"
)

// checkMachine finds states and messages that are bound twice, to nothing, or
// not at all. What a state can be reached from is in the code of reactions and
// cannot be seen.
func (v *validation) checkMachine(k *servedKind) {
	d := k.declaration
	var binding *machineBinding
	for _, b := range v.app.machines {
		switch {
		case b.declaration != d:
		case binding != nil:
			v.mistake(b.at, "machine %s is bound twice, first at %s", d.name, binding.at)
		default:
			binding = b
		}
	}
	if o := k.options; o != nil && o.strict {
		v.mistake(o.at, "machine %s: Strict is for entities: a machine comes to be with its first message", d.name)
	}
	if o := k.options; o != nil && o.initialised {
		v.mistake(o.at, "machine %s: OnCreate is for entities: what a machine does first belongs in the entry of its first state", d.name)
	}
	for _, h := range d.declared() {
		v.checkHandler(h)
		if h.creates {
			v.mistake(h.at, "message %v is declared with Creates(), which is for updates of Strict entities", h)
		}
	}
	if binding == nil {
		v.mistake(d.at, "machine %s is declared and not bound; add to the app what its Handle(…) returns", d.name)
		return
	}
	c := machineCheck{validation: v, machine: d, bound: map[*stateDeclaration]string{}, verbs: map[*handlerDeclaration]map[reactionVerb]bool{}}
	for i := range binding.states {
		c.checkState(binding, &binding.states[i])
	}
	c.checkDeclared()
}

// machineCheck is the check of one machine.
type machineCheck struct {
	*validation
	machine *kindDeclaration
	bound   map[*stateDeclaration]string                  // where
	verbs   map[*handlerDeclaration]map[reactionVerb]bool // that any state has
}

func (c *machineCheck) checkState(b *machineBinding, s *boundState) {
	switch {
	case s.state == nil && s.at == "":
		c.mistake(b.at, "machine %s: a state is the zero value; give Handle what When returns", c.machine.name)
		return
	case s.state == nil:
		c.mistake(s.at, "machine %s: a State is a zero value; declare it with the machine's State method", c.machine.name)
		return
	case s.state.kind != c.machine:
		c.mistake(s.at, "machine %s: %s is a state of another machine, declared at %s", c.machine.name, s.state.name, s.state.at)
		return
	case c.bound[s.state] != "":
		c.mistake(s.at, "machine %s: state %s is bound twice, first at %s", c.machine.name, s.state.name, c.bound[s.state])
		return
	}
	c.bound[s.state] = s.at
	actions := map[reactionVerb]string{}
	messages := map[*handlerDeclaration]string{}
	for i := range s.rows {
		c.checkRow(s, &s.rows[i], actions, messages)
	}
}

func (c *machineCheck) checkRow(s *boundState, r *reactionRow, actions map[reactionVerb]string, messages map[*handlerDeclaration]string) {
	word := map[reactionVerb]string{verbEntry: "Entry", verbExit: "Exit"}[r.verb]
	switch {
	case r.at == "":
		c.mistake(s.at, "machine %s: state %s has a reaction that is the zero value", c.machine.name, s.state.name)
	case r.unset && word != "":
		c.mistake(r.at, "machine %s: %s of state %s is bound to a nil function", c.machine.name, word, s.state.name)
	case word != "" && actions[r.verb] != "":
		c.mistake(r.at, "machine %s: state %s has %s twice, first at %s", c.machine.name, s.state.name, word, actions[r.verb])
	case word != "":
		actions[r.verb] = r.at
	case r.message == nil:
		c.mistake(r.at, "machine %s: state %s reacts to a Message that is a zero value; declare it with NewMessage", c.machine.name, s.state.name)
	case r.message.kind != c.machine:
		c.mistake(r.at, "machine %s: state %s reacts to %v, a message of another machine", c.machine.name, s.state.name, r.message)
	case r.unset:
		c.mistake(r.at, "machine %s: %s in state %s is bound to a nil function", c.machine.name, r.message.name, s.state.name)
	case messages[r.message] != "":
		c.mistake(r.at, "machine %s: state %s reacts to %s twice, first at %s", c.machine.name, s.state.name, r.message.name, messages[r.message])
	default:
		messages[r.message] = r.at
		if c.verbs[r.message] == nil {
			c.verbs[r.message] = map[reactionVerb]bool{}
		}
		c.verbs[r.message][r.verb] = true
	}
}

// checkDeclared finds what is declared and not bound, and bad names of states.
func (c *machineCheck) checkDeclared() {
	c.machine.mu.Lock()
	states := append([]*stateDeclaration(nil), c.machine.states...)
	c.machine.mu.Unlock()
	owner := map[string]*stateDeclaration{}
	for _, s := range states {
		if c.bound[s] == "" {
			c.mistake(s.at, "machine %s: state %s is declared and not bound; give Handle its When(…), or remove the declaration", c.machine.name, s.name)
		}
		for _, name := range append([]string{s.name}, s.aliases...) {
			switch err := msg.ValidName(name); {
			case err != nil:
				c.mistake(s.at, "machine %s: state %q: %s", c.machine.name, name, ruleOf(err))
			case owner[name] != nil:
				c.mistake(s.at, "machine %s: the name %q is taken by the state declared at %s", c.machine.name, name, owner[name].at)
			}
			owner[name] = s
		}
	}
	for _, h := range c.machine.declared() {
		switch verbs := c.verbs[h]; {
		case len(verbs) == 0:
			c.mistake(h.at, "message %v is declared and no state reacts to it; add Do, Defer or Ignore to a state, or remove the declaration", h)
		case verbs[verbDefer] && !verbs[verbDo] && !verbs[verbIgnore]:
			c.mistake(h.at, "message %v is deferred, and no state ever takes it", h)
		}
	}
}
