package drill

import "testing"

func TestTheEndOfAWorkflowIsReadAsThatOfAnUpdate(t *testing.T) {
	for _, c := range []struct{ run, want answer }{
		{answer{200, `{"id":"1","status":"completed","result":5,"started_at":"2026-01-02T03:04:05Z"}`}, answer{200, `5`}},
		{answer{200, `{"status":"failed","error":{"code":"insufficient_funds"}}`}, answer{409, `{"error":{"code":"insufficient_funds"}}`}},
		{answer{200, `{"status":"cancelled"}`}, answer{500, `{"status":"cancelled"}`}},
		{answer{503, `{"error":{"code":"unavailable"}}`}, answer{503, `{"error":{"code":"unavailable"}}`}},
	} {
		if got, err := c.run.outcome(); err != nil || got != c.want {
			t.Errorf("%v: got %v, %v, want %v", c.run, got, err, c.want)
		}
	}
	for _, run := range []answer{{202, `{"status":"running"}`}, {200, `{"status":"running"}`}, {200, `no JSON`}} {
		if got, err := run.outcome(); err == nil {
			t.Errorf("%v: got %v, want an error: it has not ended", run, got)
		}
	}
}
