package vet

import (
	"go/types"
	"path"
	"strings"
)

// entry puts names of a package under a rule: patterns of functions and of
// Type.Method, of which those with "!" in front are exceptions.
type entry struct {
	rule  *rule
	names string
}

// functions is what is known about functions that are not examined, by import
// path. The first entry that fits decides.
var functions = map[string][]entry{
	"context":      {{deadline, "WithTimeout WithTimeoutCause WithDeadline WithDeadlineCause"}, {goroutine, "AfterFunc"}},
	"crypto/rand":  {{random, "*"}},
	"crypto/tls":   {{network, "Dial* Listen Dialer.* Conn.Read Conn.Write Conn.Handshake*"}, {outside, "LoadX509KeyPair"}},
	"database/sql": {{network, "DB.* Tx.* Conn.* Stmt.* Row.* Rows.*"}, {outside, "Open OpenDB"}},
	"fmt":          {{output, "Print Printf Println"}, {outside, "Scan Scanf Scanln"}},
	"hash/maphash": {{random, "MakeSeed Hash.Seed"}},
	"io/ioutil":    {{outside, "ReadFile WriteFile ReadDir TempFile TempDir"}},
	"log":          {{exit, "Fatal*"}, {output, "Print* Output"}},
	"log/slog":     {{output, "Debug* Info* Warn* Error* Log LogAttrs"}},
	"math/rand":    {{random, "* !New* !Rand.* !Zipf.* !Source*"}},
	"math/rand/v2": {{random, "* !New* !Rand.* !Zipf.* !Source* !PCG.* !ChaCha8.*"}},
	"net": {{network, "Dial* Listen* Lookup* Resolve* Interface* File* Dialer.* ListenConfig.* Listen*.* Resolver.* " +
		"*Listener.Accept* *Conn.Read* *Conn.Write* !Dialer.SetMultipathTCP !ListenConfig.SetMultipathTCP !Interface.*"}},
	"net/http": {{network, "Get Head Post PostForm ListenAndServe* Serve ServeTLS Client.Do Client.Get Client.Head " +
		"Client.Post* Server.ListenAndServe* Server.Serve* Server.Shutdown Transport.RoundTrip RoundTripper.RoundTrip"}},
	"net/rpc":  {{network, "Dial* Client.Call Client.Go Accept ServeConn"}},
	"net/smtp": {{network, "Dial SendMail Client.*"}},
	"os": {{exit, "Exit"}, {outside, "* !IsExist !IsNotExist !IsPermission !IsTimeout !IsPathSeparator !Expand !New*Error " +
		"!*Error.* !File.Name !ProcessState.* !Signal.*"}},
	"os/exec":       {{outside, "LookPath Cmd.Run Cmd.Start Cmd.Wait Cmd.Output Cmd.CombinedOutput"}},
	"os/signal":     {{outside, "*"}},
	"os/user":       {{outside, "Current Lookup* User.GroupIds"}},
	"path/filepath": {{outside, "Abs EvalSymlinks Glob Walk WalkDir"}},
	"runtime":       {{exit, "Goexit"}, {outside, "NumCPU NumGoroutine GOMAXPROCS"}},
	"sync": {{wait, "WaitGroup.Wait Cond.Wait"}, {goroutine, "WaitGroup.Go"}, {once, "Once.Do"},
		{lock, "Mutex.*Lock RWMutex.*Lock Locker.Lock"}},
	"syscall": {{outside, "Exec ForkExec Getenv Getpid Kill Open Read Write"}},
	"time":    {{clock, "Now Since Until"}, {sleep, "Sleep"}, {timer, "After AfterFunc NewTicker NewTimer Tick"}},
	root:      {{client, "ClientFrom Dial NewClient Client.*"}},

	root + "/client": {{client, "HTTP"}},
}

// variables are package variables whose use counts like a call.
var variables = map[string]*rule{
	"crypto/rand.Reader": random,
	"os.Args":            outside,
	"os.Stderr":          output,
	"os.Stdin":           outside,
	"os.Stdout":          output,
}

// known gives what the tables say about a function or a package variable.
func known(object types.Object) (*rule, bool) {
	if object.Pkg() == nil {
		return nil, false
	}
	switch o := object.(type) {
	case *types.Func:
		for _, e := range functions[o.Pkg().Path()] {
			if e.fits(nameOf(o)) {
				return e.rule, true
			}
		}
	case *types.Var:
		r, ok := variables[o.Pkg().Path()+"."+o.Name()]
		return r, ok
	}
	return nil, false
}

// fits says whether a name is under the rule of the entry.
func (e entry) fits(name string) (found bool) {
	for pattern := range strings.FieldsSeq(e.names) {
		excepted, exception := strings.CutPrefix(pattern, "!")
		fits, err := path.Match(excepted, name)
		switch {
		case err != nil || !fits:
		case exception:
			return false
		default:
			found = true
		}
	}
	return found
}

// nameOf gives Function or Type.Method.
func nameOf(f *types.Func) string {
	receiver := f.Signature().Recv()
	if receiver == nil {
		return f.Name()
	}
	t := types.Unalias(receiver.Type())
	if pointer, ok := t.(*types.Pointer); ok {
		t = types.Unalias(pointer.Elem())
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj().Name() + "." + f.Name()
	}
	return f.Name()
}

// shown names a function or variable as code does, with its package.
func shown(object types.Object) string {
	name := object.Name()
	if f, ok := object.(*types.Func); ok {
		name = nameOf(f)
	}
	return object.Pkg().Name() + "." + name
}

// packageLevel says whether a variable is declared outside of functions and
// types.
func packageLevel(v *types.Var) bool {
	return v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}
