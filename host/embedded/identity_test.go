package embedded

import (
	"errors"
	"testing"

	"github.com/holdfast-io/holdfast/host"
)

func TestIdentityOfSaysWhatADirectoryWasMadeFor(t *testing.T) {
	disk := simulatedDirectory(t, true)
	if got, found, err := identityOf(simulated{disk}, "/nowhere"); found || err != nil {
		t.Errorf("no directory: got %+v, %v, %v", got, found, err)
	}
	held := mustOpenHost(t, simulatedConfig(disk)) // the lock is not needed
	if got, found, err := identityOf(simulated{disk}, "/data"); got.Partitions != 4 || !found || err != nil {
		t.Errorf("got %+v, %v, %v; want 4 partitions", got, found, err)
	}
	mustClose(t, held)
	writeFile(t, disk, "/data/FORMAT", "holdfast")
	if got, found, err := identityOf(simulated{disk}, "/data"); found || !errors.Is(err, host.ErrCorrupt) {
		t.Errorf("a damaged FORMAT: got %+v, %v, %v; want ErrCorrupt", got, found, err)
	}
}
