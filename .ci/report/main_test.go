package main

import (
	"strings"
	"testing"
)

// TestReport feeds runs of go test and checks the verdict, the totals and what
// is printed.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in, totals string
		ok               bool
		prints           string
	}{
		{"passes, with subtests instead of their parent", `
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":1.5}`, "3 0 0", true, "pass p 1.5s"},
		{"a failure is printed with its output", `
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`, "0 1 0", false, "got 1"},
		{"a failed subtest counts once, a parent that fails by itself counts", `
{"Action":"fail","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB/one"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}`, "1 2 0", false, "FAIL: p TestA/one"},
		{"a skip with a reason is listed", `
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: needs a disk\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, "0 0 1", true, "skipped: p TestA: needs a disk"},
		{"a skip without a reason fails", `
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, "0 1 0", false, "1 tests were skipped without a reason"},
		{"a skip with an empty reason fails", `
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: \n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`, "0 1 0", false, "WITHOUT A REASON"},
		{"a package that does not build", `
{"Action":"build-output","ImportPath":"p","Output":"p.go:1: undefined\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"output","Package":"p","Output":"FAIL p [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`, "0 1 0", false, "p.go:1: undefined"},
		{"a test that never ends", `
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}`, "1 1 0", false, "panic: test timed out"},
		{"packages without tests", `
{"Action":"pass","Package":"q","Test":"TestA"}
{"Action":"pass","Package":"q"}
{"Action":"output","Package":"p","Output":"?   p [no test files]\n"}
{"Action":"skip","Package":"p"}`, "1 0 0", true, "1 passed, 0 failed, 0 skipped"},
		{"no test at all", ``, "0 1 0", false, "no test has run"},
		{"what the go command itself says", "go: no such flag\n", "0 1 0", false, "go: no such flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			totals, ok, err := run(strings.NewReader(strings.TrimPrefix(c.in, "\n")), &out)
			if err != nil || totals != c.totals || ok != c.ok {
				t.Errorf("got %q %v %v, want %q %v", totals, ok, err, c.totals, c.ok)
			}
			if !strings.Contains(out.String(), c.prints) {
				t.Errorf("printed %q, want %q", out.String(), c.prints)
			}
		})
	}
}
