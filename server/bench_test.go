package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkHTTP asks what share of a bare net/http echo is left for durable
// updates at 64 callers, with the same client in the same process.
func BenchmarkHTTP(b *testing.B) {
	b.Run("echo", func(b *testing.B) {
		echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		}))
		defer echo.Close()
		post64(b, echo.URL+"/")
	})
	b.Run("update", func(b *testing.B) {
		s := startServer(b, Config{DataDir: b.TempDir()}).waitReady()
		post64(b, "http://"+s.Addr()+"/v1/entities/tally/")
		if err := s.end(); err != nil {
			b.Error(err)
		}
	})
}

// post64 has 64 callers post to the keys of a thousand tallies.
func post64(b *testing.B, base string) {
	const callers, keys = 64, 1000
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var sent atomic.Int64
	var ended sync.WaitGroup
	b.ResetTimer()
	for range callers {
		ended.Go(func() {
			for n := sent.Add(1); n <= int64(b.N); n = sent.Add(1) {
				response, err := client.Post(base+strconv.FormatInt(n%keys, 10)+"/add", "application/json", strings.NewReader("1"))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		})
	}
	ended.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
