package main

import (
	"fmt"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

type series struct{ code, method string }

// app holds what /metrics serves. Its names follow client_golang's promhttp instrumentation.
type app struct {
	faults *faults
	gauge  atomic.Uint64 // bits of a float64

	mutex    sync.Mutex
	requests map[series]uint64
}

func newHandler(f *faults) http.Handler {
	a := &app{
		faults: f,
		// Both outcomes exist from the start: rate() cannot see the first step of a series that is born above 0.
		requests: map[series]uint64{{"200", "get"}: 0, {"500", "get"}: 0},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", a.serve)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("POST /gauge", a.setGauge)
	return mux
}

func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	code := http.StatusOK
	if a.faults.next() {
		code = http.StatusInternalServerError
	}
	a.mutex.Lock()
	a.requests[series{strconv.Itoa(code), methodLabel(r.Method)}]++
	a.mutex.Unlock()
	w.WriteHeader(code)
	fmt.Fprintln(w, http.StatusText(code))
}

// methodLabel bounds the label: a client may send any word as its method.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return strings.ToLower(method)
	}
	return "unknown"
}

func (a *app) setGauge(w http.ResponseWriter, r *http.Request) {
	value, err := strconv.ParseFloat(r.URL.Query().Get("value"), 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
		http.Error(w, "want /gauge?value=NUMBER", http.StatusBadRequest)
		return
	}
	a.gauge.Store(math.Float64bits(value))
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) metrics(w http.ResponseWriter, _ *http.Request) {
	var lines []string
	a.mutex.Lock()
	for s, count := range a.requests {
		lines = append(lines, fmt.Sprintf("http_requests_total{code=%q,method=%q} %d\n", s.code, s.method, count))
	}
	a.mutex.Unlock()
	sort.Strings(lines)

	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP http_requests_total Requests to /, by status code and method.\n")
	fmt.Fprint(w, "# TYPE http_requests_total counter\n", strings.Join(lines, ""))
	fmt.Fprint(w, "# HELP demo_gauge The value last set by POST /gauge.\n# TYPE demo_gauge gauge\n")
	fmt.Fprintf(w, "demo_gauge %s\n", strconv.FormatFloat(math.Float64frombits(a.gauge.Load()), 'g', -1, 64))
}
