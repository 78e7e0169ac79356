package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"time"
)

// requestInterval is the time between two requests at rate per second; 0 means no requests.
func requestInterval(rate float64) (time.Duration, error) {
	if math.IsNaN(rate) || rate < 0 || rate > 10_000 {
		return 0, fmt.Errorf("%v is not a rate from 0 to 10000 per second", rate)
	}
	if rate == 0 {
		return 0, nil
	}
	return time.Duration(float64(time.Second) / rate), nil
}

func sendTraffic(ctx context.Context, url string, interval time.Duration) {
	client := &http.Client{Timeout: 5 * time.Second}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := get(ctx, client, url); err != nil && ctx.Err() == nil {
			slog.Error("request to itself failed", "url", url, "error", err)
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// A connection is only used again once its body has been read.
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
