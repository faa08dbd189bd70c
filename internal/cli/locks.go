package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

var lockList = operatorList{
	path: "/v1/locks", name: "locks", header: "KIND\tKEY\tMODE\tWAITING\tSINCE\tHOLDERS", row: lockRow,
	none: "nothing is locked",
}

func lockRow(entry json.RawMessage) (string, error) {
	var l struct {
		Kind, Key string
		Waiting   int
		Holders   []struct {
			Workflow, ID string
			Shared       bool
			Since        time.Time
		}
	}
	err := json.Unmarshal(entry, &l)
	var holders []string
	mode, since := "exclusive", ""
	for n, h := range l.Holders {
		holders = append(holders, h.Workflow+"/"+h.ID)
		if h.Shared {
			mode = "shared"
		}
		if n == 0 {
			since = clock(h.Since)
		}
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s", printable(l.Kind), printable(l.Key), mode, l.Waiting, since, cell(strings.Join(holders, " "))), err
}

func (c *commands) locks() *cobra.Command {
	cmd := c.operatorCommand(lockList, &cobra.Command{
		Use:   "locks",
		Short: "Look after keys that workflows hold",
		Long: "Look after keys that workflows hold: whoever else comes there waits. The kind is the\n" +
			"affinity of kinds that have one. Without a command, list them.\n\n" +
			"A lock ends with the run that holds it, so the usual way is to look at that\n" +
			"workflow, and to cancel or terminate it.",
		Example: "  holdfast locks\n  holdfast locks release account alice",
	}, "list or release")
	cmd.AddCommand(c.operatorAction("release KIND KEY", "Take a lock from its holders; what they do there later is refused", releaseLock))
	return cmd
}

func releaseLock(arguments []string) (question, map[string]any) {
	return question{
		method: http.MethodPost,
		path:   "/v1/locks/" + url.PathEscape(arguments[0]) + "/" + url.PathEscape(arguments[1]) + "/release",
		advice: "holdfast locks lists the keys that are locked",
	}, map[string]any{"kind": arguments[0], "key": arguments[1], "released": true}
}
