package server

import (
	"runtime/debug"
	"strings"
)

// Version is that of Holdfast in this program: the module's version, or the
// revision it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const module = "github.com/holdfast-io/holdfast"
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	if info.Main.Path == module && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	var revision, modified string
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				modified = "+modified"
			}
		}
	}
	if revision == "" {
		return "devel"
	}
	return strings.Join([]string{"devel-", revision[:min(12, len(revision))], modified}, "")
}
