package main

import (
	"net/http"
	"testing"
)

func TestBucketsHoldEverythingBelowTheirBound(t *testing.T) {
	d := newDurations()
	for _, seconds := range []float64{.001, .005, .3, 2, 60} {
		d.observe(seconds)
	}
	wantLines(t, d.text("took", `code="200"`),
		`took_bucket{code="200",le="0.005"} 2`,
		`took_bucket{code="200",le="0.25"} 2`,
		`took_bucket{code="200",le="0.5"} 3`,
		`took_bucket{code="200",le="1"} 3`,
		`took_bucket{code="200",le="2.5"} 4`,
		`took_bucket{code="200",le="10"} 4`,
		`took_bucket{code="200",le="+Inf"} 5`,
		`took_sum{code="200"} 62.306`,
		`took_count{code="200"} 5`)
}

func TestEveryAnswerIsTimedOnce(t *testing.T) {
	server := start(t, "0.5")
	for range 6 {
		request(t, http.MethodGet, server.URL+"/")
	}
	_, page := request(t, http.MethodGet, server.URL+"/metrics")
	wantLines(t, page,
		`http_request_duration_seconds_bucket{code="200",method="get",le="+Inf"} 3`,
		`http_request_duration_seconds_count{code="200",method="get"} 3`,
		`http_request_duration_seconds_bucket{code="500",method="get",le="10"} 3`)
}
