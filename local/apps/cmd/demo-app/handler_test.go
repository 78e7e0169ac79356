package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, ratio string) *httptest.Server {
	t.Helper()
	f, err := newFaults(ratio)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newHandler(f))
	t.Cleanup(server.Close)
	return server
}

func request(t *testing.T, method, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %q in\n%s", line, page)
		}
	}
}

func TestMetricsCountWhatWasAnswered(t *testing.T) {
	server := start(t, "0.25")
	codes := map[int]int{}
	for range 8 {
		code, _ := request(t, http.MethodGet, server.URL+"/")
		codes[code]++
	}
	request(t, "BREW", server.URL+"/")
	if codes[200] != 6 || codes[500] != 2 {
		t.Fatalf("answered %v, want six 200 and two 500", codes)
	}
	code, page := request(t, http.MethodGet, server.URL+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics answers %d", code)
	}
	wantLines(t, page,
		`http_requests_total{code="200",method="get"} 6`,
		`http_requests_total{code="500",method="get"} 2`,
		`http_requests_total{code="200",method="unknown"} 1`,
		"demo_gauge 0")
}

func TestProbesAndUnknownPathsAreNotTraffic(t *testing.T) {
	server := start(t, "1")
	for path, want := range map[string]int{"/healthz": 200, "/elsewhere": 404} {
		if code, _ := request(t, http.MethodGet, server.URL+path); code != want {
			t.Errorf("%s answers %d, want %d", path, code, want)
		}
	}
	_, page := request(t, http.MethodGet, server.URL+"/metrics")
	wantLines(t, page, `http_requests_total{code="200",method="get"} 0`, `http_requests_total{code="500",method="get"} 0`)
}

func TestGaugeKeepsTheLastGoodValue(t *testing.T) {
	server := start(t, "0")
	for _, step := range []struct {
		method, query string
		want          int
	}{
		{http.MethodPost, "?value=42.5", 204}, {http.MethodPost, "?value=much", 400}, {http.MethodPost, "?value=NaN", 400},
		{http.MethodPost, "", 400}, {http.MethodGet, "?value=7", 405},
	} {
		if code, _ := request(t, step.method, server.URL+"/gauge"+step.query); code != step.want {
			t.Errorf("%s /gauge%s answers %d, want %d", step.method, step.query, code, step.want)
		}
	}
	_, page := request(t, http.MethodGet, server.URL+"/metrics")
	wantLines(t, page, "demo_gauge 42.5")
}

func TestAppSendsItselfTrafficAndEndsWhenTold(t *testing.T) {
	f, err := newFaults("1/2")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, newHandler(f), time.Millisecond) }()

	deadline := time.Now().Add(10 * time.Second)
	for {
		_, page := request(t, http.MethodGet, "http://"+listener.Addr().String()+"/metrics")
		if !strings.Contains(page, `"} 0`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not both kinds of answer within 10 s:\n%s", page)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * shutdownGrace):
		t.Fatal("still serving after it was told to end")
	}
}
