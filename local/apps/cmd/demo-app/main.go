// Command demo-app is the application that the local fleet monitors: it serves HTTP, fails a known share
// of its requests, sends itself traffic, and has a gauge that tests set to follow a sample upward.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const shutdownGrace = 5 * time.Second

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	rate := flag.Float64("rate", 20, "requests per second sent to itself; 0 sends none")
	errorRatio := flag.String("error-ratio", "0.1", "share of requests to / that answer 500: a decimal or a fraction from 0 to 1")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *rate, *errorRatio); err != nil {
		fmt.Fprintln(os.Stderr, "demo-app:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, rate float64, errorRatio string) error {
	faults, err := newFaults(errorRatio)
	if err != nil {
		return fmt.Errorf("--error-ratio: %w", err)
	}
	interval, err := requestInterval(rate)
	if err != nil {
		return fmt.Errorf("--rate: %w", err)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	slog.Info("serving", "address", listener.Addr().String(), "rate", rate, "error_ratio", errorRatio)
	return serve(ctx, listener, newHandler(faults), interval)
}

// serve answers on listener, and sends itself a request every interval (none if 0), until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, interval time.Duration) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if interval > 0 {
		go sendTraffic(ctx, fmt.Sprintf("http://127.0.0.1:%d/", listener.Addr().(*net.TCPAddr).Port), interval)
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
