package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// exported lists the names of the metrics that are ours, also of those that
// have no values yet.
func exported(t *testing.T) (names []string) {
	t.Helper()
	descriptions := make(chan *prometheus.Desc, 1000)
	newMetrics().registry.Describe(descriptions)
	close(descriptions)
	pattern := regexp.MustCompile(`fqName: "(holdfast_[a-z_]+)"`)
	for d := range descriptions {
		if found := pattern.FindStringSubmatch(d.String()); found != nil && !slices.Contains(names, found[1]) {
			names = append(names, found[1])
		}
	}
	if len(names) < 20 {
		t.Fatalf("found the metrics %q only", names)
	}
	return names
}

// TestGuideNamesEveryMetric compares the table of the guide for operators with
// what is exported: each name once, with a meaning.
func TestGuideNamesEveryMetric(t *testing.T) {
	const file = "../docs/guide/operating.md"
	guide, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := exported(t)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(holdfast_[a-z_]+)` \\| (.*) \\|$").FindAllStringSubmatch(string(guide), -1) {
		documented = append(documented, row[1])
		if !slices.Contains(names, row[1]) {
			t.Errorf("%s names %s, which is not exported", file, row[1])
		}
		if len(strings.Fields(row[2])) < 2 {
			t.Errorf("%s does not say what %s means", file, row[1])
		}
	}
	for _, name := range names {
		if n := len(documented) - len(slices.DeleteFunc(slices.Clone(documented), func(d string) bool { return d == name })); n != 1 {
			t.Errorf("%s has %d rows for %s, want 1", file, n, name)
		}
	}
	for _, mentioned := range regexp.MustCompile("`(holdfast_[a-z_]+)`").FindAllStringSubmatch(string(guide), -1) {
		if !slices.Contains(names, mentioned[1]) {
			t.Errorf("%s mentions %s, which is not exported", file, mentioned[1])
		}
	}
}

// TestGuideHasTheDefaults holds the numbers in the guide to those in the code.
func TestGuideHasTheDefaults(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if PartitionsDefault != 64 || ShutdownTimeoutDefault.Seconds() != 30 {
		t.Errorf("the guide says 64 partitions and 30 seconds, the defaults are %d and %v", PartitionsDefault, ShutdownTimeoutDefault)
	}
	for _, text := range []string{"64 is the default", "`--shutdown-timeout` (30 seconds)"} {
		if !strings.Contains(string(guide), text) {
			t.Errorf("the guide does not say %q", text)
		}
	}
}
