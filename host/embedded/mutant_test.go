package embedded

// Goal: the suite can fail. Each mistake is one that somebody could make, or
// has made; the case that must report it is named beside it.

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-io/holdfast/host"
	"github.com/holdfast-io/holdfast/host/hosttest"
)

// lying is a disk whose syncs do nothing for some names, once that many were
// honest.
type lying struct {
	FS
	skips  func(name string) bool
	honest int
}

type lyingFile struct {
	File
	skip   bool
	honest int
}

func (l lying) OpenFile(name string, flag int) (File, error) {
	f, err := l.FS.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &lyingFile{f, l.skips(filepath.Base(name)), l.honest}, nil
}

func (l lying) SyncDir(name string) error {
	if l.skips(filepath.Base(name)) {
		return nil
	}
	return l.FS.SyncDir(name)
}

func (f *lyingFile) Datasync() error {
	if f.honest--; f.skip && f.honest < 0 {
		return nil
	}
	return f.File.Datasync()
}

// lyingHarness opens hosts on disks that do not sync names with the suffix,
// except for the first times that a file is open.
func lyingHarness(suffix string, honest int) hosttest.Harness {
	return plantedOn(mutantNone, suffix, honest)
}

// plantedOn is lyingHarness with a mistake in the package besides.
func plantedOn(planted mutant, suffix string, honest int) hosttest.Harness {
	h := harness(planted)
	h.Open = func(d *hosttest.Data) (host.Host, error) {
		config := configOf(d, planted)
		config.FS = lying{config.FS, func(name string) bool { return strings.HasSuffix(name, suffix) }, honest}
		opened, err := Open(config)
		if err != nil {
			return nil, err
		}
		return opened, nil
	}
	return h
}

// Names of cases of the suite.
const (
	tornAtEveryByte   = "a frame torn at every byte is cut off, and the log goes on"
	anyPages          = "a power cut that keeps any pages of an unsynced frame leaves it whole or takes it"
	readThenCut       = "what was read after a crash survives a power cut"
	histories         = "random histories with crashes and power cuts keep every promise"
	damageSealed      = "a flipped bit anywhere in a sealed log is reported or harmless"
	failedSync        = "a failed sync poisons the log for good"
	atomicPublication = "a publication is atomic wherever the process dies and the power is cut"
	earlierLap        = "frames of an earlier lap are never accepted"
	dyingClose        = "closing may die at any point"
	dyingNew          = "a new directory may die at any point of its making"
)

func TestTheSuiteReportsPlantedMistakes(t *testing.T) {
	cases := map[string]hosttest.Case{}
	for _, c := range hosttest.Cases() {
		cases[c.Name] = c
	}
	for _, tc := range []struct {
		mistake string
		harness hosttest.Harness
		names   []string
	}{
		{"the tail is not written again", harness(mutantTrustCache), []string{failedSync, histories}},
		{"the tail is neither written again nor synced", plantedOn(mutantTrustCache, segmentSuffix, 0), []string{readThenCut}},
		{"a seal in the page cache is taken for durable", plantedOn(mutantTrustSeal, segmentSuffix, 0), []string{dyingClose, histories}},
		{"torn payloads are accepted", harness(mutantAcceptTorn), []string{anyPages, tornAtEveryByte, damageSealed}},
		{"earlier uses of a file are accepted", harness(mutantAcceptStale), []string{earlierLap}},
		{"damage is cut off", harness(mutantCutAlways), []string{damageSealed}},
		{"a failed sync does not poison", harness(mutantGoOn), []string{failedSync}},
		{"older epochs may write", harness(mutantAnyEpoch), []string{"an older epoch is refused"}},
		{"a full disk is not told", harness(mutantAlwaysRoom), []string{"a full disk refuses new work in time, and takes it when there is room"}},
		{"marks are not zeroed", harness(mutantForgetMarks), []string{"marks outlive a crash and not an orderly end"}},
		{"a list is published one by one", harness(mutantListByList), []string{atomicPublication}},
		{"frames are not synced", lyingHarness(spareSuffix, 1), []string{anyPages, histories}},
		{"a segment is not synced before it gets its name", lyingHarness(spareSuffix, 0), []string{anyPages, histories}},
		{"the log's names are not synced", lyingHarness(logDirectory, 0), []string{histories}},
		{"checkpoints are not synced", lyingHarness(checkpointSuffix, 0), []string{atomicPublication}},
		{"the manifest is not synced before it gets its name", lyingHarness(manifestName+newSuffix, 0), []string{atomicPublication}},
		{"the checkpoints' names are not synced", lyingHarness(checkpointDirectory, 0), []string{atomicPublication}},
		{"the data directory's names are not synced", lyingHarness("data", 0), []string{dyingNew}},
	} {
		for _, name := range tc.names {
			c, ok := cases[name]
			if !ok {
				t.Fatalf("there is no case %q", name)
			}
			message, failed := hosttest.Fails(c, tc.harness)
			if !failed {
				t.Errorf("planted: %s: the case %q does not report it", tc.mistake, name)
				continue
			}
			t.Logf("planted: %s: %.200s", tc.mistake, message)
		}
	}
}
