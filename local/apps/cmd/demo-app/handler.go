package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type series struct{ code, method string }

// app holds what /metrics serves. Its names follow client_golang's promhttp instrumentation.
type app struct {
	faults *faults
	gauge  atomic.Uint64 // bits of a float64

	mutex    sync.Mutex
	answered map[series]*durations
}

func newHandler(f *faults) http.Handler {
	a := &app{
		faults: f,
		// Both outcomes exist from the start: rate() cannot see the first step of a series that is born above 0.
		answered: map[series]*durations{{"200", "get"}: newDurations(), {"500", "get"}: newDurations()},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", a.serve)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("POST /gauge", a.setGauge)
	return mux
}

func (a *app) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	code := http.StatusOK
	if a.faults.next() {
		code = http.StatusInternalServerError
	}
	w.WriteHeader(code)
	fmt.Fprintln(w, http.StatusText(code))
	a.count(series{strconv.Itoa(code), methodLabel(r.Method)}, time.Since(began))
}

func (a *app) count(s series, took time.Duration) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.answered[s] == nil {
		a.answered[s] = newDurations()
	}
	a.answered[s].observe(took.Seconds())
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
	histograms := map[string]string{}
	a.mutex.Lock()
	for s, took := range a.answered {
		labels := fmt.Sprintf("code=%q,method=%q", s.code, s.method)
		lines = append(lines, fmt.Sprintf("http_requests_total{%s} %d\n", labels, took.count))
		histograms[labels] = took.text("http_request_duration_seconds", labels)
	}
	a.mutex.Unlock()
	sort.Strings(lines)

	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP http_requests_total Requests to /, by status code and method.\n")
	fmt.Fprint(w, "# TYPE http_requests_total counter\n", strings.Join(lines, ""))
	fmt.Fprint(w, "# HELP http_request_duration_seconds How long requests to / took, by status code and method.\n")
	fmt.Fprint(w, "# TYPE http_request_duration_seconds histogram\n")
	for _, labels := range slices.Sorted(maps.Keys(histograms)) {
		fmt.Fprint(w, histograms[labels])
	}
	fmt.Fprint(w, "# HELP demo_gauge The value last set by POST /gauge.\n# TYPE demo_gauge gauge\n")
	fmt.Fprintf(w, "demo_gauge %s\n", strconv.FormatFloat(math.Float64frombits(a.gauge.Load()), 'g', -1, 64))
}
