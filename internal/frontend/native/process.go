package native

import (
	"net/http"

	"github.com/holdfast-io/holdfast/internal/msg"
)

// serveHealth says that the process answers.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	return writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// serveReady says whether requests are admitted.
func (h *Handler) serveReady(w http.ResponseWriter, r *http.Request) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	if err := h.door.Ready(); err != nil {
		return writeError(w, msg.Errorf(msg.CodeUnavailable, msg.ClassUnavailable, "%v", err))
	}
	return writeJSON(w, http.StatusOK, []byte(`{"status":"ready"}`))
}

func (h *Handler) serveMetrics(w http.ResponseWriter, r *http.Request) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	h.metrics.ServeHTTP(w, r)
	return http.StatusOK
}

func (h *Handler) serveOpenAPI(w http.ResponseWriter, r *http.Request) int {
	if !isGet(r) {
		return refuseMethod(w, r, http.MethodGet, http.MethodHead)
	}
	return writeJSON(w, http.StatusOK, OpenAPI(h.door.Describe(), h.version))
}
