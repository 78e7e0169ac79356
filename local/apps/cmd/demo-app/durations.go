package main

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
)

// bounds are those of client_golang's default histogram, in seconds.
var bounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, math.Inf(1)}

// durations is a classic histogram.
type durations struct {
	count uint64
	sum   float64
	// within counts by bound, each alone: they are added up where they are served.
	within []uint64
}

func newDurations() *durations {
	return &durations{within: make([]uint64, len(bounds))}
}

func (d *durations) observe(seconds float64) {
	d.count++
	d.sum += seconds
	d.within[sort.SearchFloat64s(bounds, seconds)]++
}

func (d *durations) text(name, labels string) string {
	var page strings.Builder
	var below uint64
	for i, bound := range bounds {
		below += d.within[i]
		le := strconv.FormatFloat(bound, 'g', -1, 64)
		fmt.Fprintf(&page, "%s_bucket{%s,le=%q} %d\n", name, labels, le, below)
	}
	fmt.Fprintf(&page, "%s_sum{%s} %s\n", name, labels, strconv.FormatFloat(d.sum, 'g', -1, 64))
	fmt.Fprintf(&page, "%s_count{%s} %d\n", name, labels, d.count)
	return page.String()
}
