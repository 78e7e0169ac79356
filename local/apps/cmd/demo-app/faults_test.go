package main

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestEveryWindowHoldsExactlyTheConfiguredShareOfFailures(t *testing.T) {
	for _, test := range []struct {
		ratio       string
		window, bad int
	}{{"0.1", 10, 1}, {"0.25", 4, 1}, {"0.3", 10, 3}, {"0.07", 100, 7}, {"1/3", 3, 1}, {"2/3", 3, 2}, {"0", 5, 0}, {"1", 5, 5}, {"1.0", 5, 5}} {
		f, err := newFaults(test.ratio)
		if err != nil {
			t.Fatal(err)
		}
		var failed []bool
		for range 10 * test.window {
			failed = append(failed, f.next())
		}
		for start := 0; start+test.window <= len(failed); start++ {
			bad := 0
			for _, fails := range failed[start : start+test.window] {
				if fails {
					bad++
				}
			}
			if bad != test.bad {
				t.Fatalf("ratio %s: %d of %d requests fail from request %d on, want %d", test.ratio, bad, test.window, start, test.bad)
			}
		}
	}
}

func TestShareHoldsWithConcurrentRequests(t *testing.T) {
	f, err := newFaults("0.1")
	if err != nil {
		t.Fatal(err)
	}
	var bad atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 1000 {
				if f.next() {
					bad.Add(1)
				}
			}
		})
	}
	clients.Wait()
	if bad.Load() != 800 {
		t.Fatalf("%d of 8000 requests fail, want 800", bad.Load())
	}
}

func TestRatioOutsideZeroToOneIsRefused(t *testing.T) {
	for _, ratio := range []string{"", "ten", "-0.1", "1.01", "1/0", "0.00000001", "NaN", "Inf"} {
		if _, err := newFaults(ratio); err == nil {
			t.Errorf("ratio %q is accepted", ratio)
		}
	}
}
