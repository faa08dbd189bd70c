package bench

import (
	"os"
	"runtime/pprof"
	"time"
)

func init() {
	if f := os.Getenv("KARPROF"); f != "" && len(os.Args) > 3 && os.Args[3] == workloadKARSide {
		go func() {
			time.Sleep(2 * time.Second)
			w, _ := os.Create(f)
			_ = pprof.StartCPUProfile(w)
			time.Sleep(4 * time.Second)
			pprof.StopCPUProfile()
			_ = w.Close()
		}()
	}
}
